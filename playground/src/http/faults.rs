//! The levers over HTTP: `/playground/faults`, `/playground/watches/...`, `/playground/history/...`, and what the pods' MCP
//! servers do: `/playground/servers`.
//!
//! ```text
//!  GET | PUT | DELETE /playground/faults     the rules, as JSON (see the module `faults::json`)
//!  POST /playground/watches/cut              or end, stall, half-line, garbage; a matcher as the body spares the others
//!  POST /playground/history/compact          all history is forgotten
//!  POST /playground/history/restore          {"resourceVersion": "12"}: back to the state at that version
//!  GET  /playground/servers                  what listens for pods: their sessions, and what they were asked
//!  POST /playground/servers/tools/change     {"image": "part of a name"}, or no body for all: they list another tool
//! ```

use http::Method;
use serde_json::{Value, json};

use super::route::Control;
use super::{Answer, Call, response};
use crate::faults;
use crate::mcp::Report;
use crate::status::Status;

/// Pulls a lever.
pub(super) fn answer(call: &Call<'_>, control: &Control) -> Answer {
    match control {
        Control::Rules => rules(call),
        Control::Watches(how) => posted(call, |body| {
            let how = faults::break_named(how).map_err(Status::bad_request)?;
            let struck = call.cluster.faults().strike_watches(&faults::matcher(body)?, how);
            Ok(json!({"watches": struck}))
        }),
        Control::Compact => posted(call, |_| {
            call.cluster.compact();
            Ok(json!({"resourceVersion": call.cluster.revision().to_string()}))
        }),
        Control::Restore => posted(call, |body| restore(call, body)),
        Control::Servers => call.read_only(|call| {
            let servers = call.cluster.servers().list();
            response::json(200, &servers.iter().map(Report::to_value).collect())
        }),
        Control::ChangeTools => posted(call, |body| change_tools(call, body)),
    }
}

fn rules(call: &Call<'_>) -> Answer {
    let all = call.cluster.faults();
    match *call.method {
        Method::GET => {}
        Method::DELETE => all.clear(),
        Method::PUT => {
            let (seed, rules) = faults::rules(&json_body(call)?)?;
            if let Some(seed) = seed {
                all.reseed(seed);
            }
            all.replace(rules);
        }
        _ => return Err(Status::method_not_allowed()),
    }
    Ok(response::json(200, &faults::rules_to_json(&all.standing())))
}

fn restore(call: &Call<'_>, body: &Value) -> Result<Value, Status> {
    let version = body["resourceVersion"].as_str().and_then(|version| version.parse().ok());
    let version = version.ok_or_else(|| {
        Status::bad_request(format!(
            "resourceVersion: {} is no resourceVersion such as \"12\"",
            body["resourceVersion"]
        ))
    })?;
    let gone = |oldest| format!("resourceVersion: {version} is not within the history, which begins at {oldest}");
    call.cluster.restore(version).map_err(|expired| Status::bad_request(gone(expired.floor)))?;
    Ok(json!({"resourceVersion": call.cluster.revision().to_string()}))
}

fn change_tools(call: &Call<'_>, body: &Value) -> Result<Value, Status> {
    let image = match body {
        Value::Null => "",
        body => {
            body["image"].as_str().ok_or_else(|| Status::bad_request("image: a part of an image's name is missing"))?
        }
    };
    call.cluster.servers().change_tools(image);
    Ok(json!({"image": image}))
}

fn posted(call: &Call<'_>, act: impl FnOnce(&Value) -> Result<Value, Status>) -> Answer {
    if *call.method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    let body = if call.body.is_empty() { Value::Null } else { json_body(call)? };
    Ok(response::json(200, &act(&body)?))
}

fn json_body(call: &Call<'_>) -> Result<Value, Status> {
    serde_json::from_slice(call.body).map_err(|error| Status::bad_request(format!("the body is no JSON: {error}")))
}
