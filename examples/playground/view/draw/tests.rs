use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::json;

use super::super::model::LEASE_KIND;
use super::super::model::tests::{lease, server, signs};
use super::*;
use crate::operators::Life;
use crate::story;

/// Seven seconds after everything has begun.
fn buffer(model: &Model, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(model, Timestamp::from_second(7).unwrap(), frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines that a person sees, without the spaces at their ends.
fn seen(model: &Model, columns: u16, rows: u16) -> Vec<String> {
    let buffer = buffer(model, columns, rows);
    let line = |row| (0..columns).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..rows).map(|row| line(row).trim_end().to_owned()).collect()
}

/// Two operators, and servers in various states.
fn model() -> Model {
    let mut broken = server("example-server", "Progressing", 1, 2);
    broken["status"]["conditions"] = json!([{
        "type": "Ready", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "1 of 2 pods are available",
    }]);
    let said = json!({
        "metadata": {"namespace": "default", "name": "example-server.1"},
        "regarding": {"kind": "MCPServer", "namespace": "default", "name": "example-server"},
        "eventTime": "1970-01-01T00:00:04.000000Z", "type": "Normal", "reason": "DeploymentUpdated",
        "note": "Deployment example-server updated",
    });
    let mut model = Model::new(signs())
        .with_operator(0, "x")
        .with_operator(1, "y")
        .with(LEASE_KIND, lease("y"))
        .with("MCPServer", server("everything", "Running", 2, 2))
        .with("MCPServer", broken)
        .with("MCPServer", server("standby", "ScaledToZero", 0, 0))
        .with("Event", said);
    model.select(1);
    model
}

#[test]
fn on_an_ordinary_terminal_everything_has_its_place() {
    let expected = "
 Smooth Operator playground                       operator 2 leads, 1 stands by

  NAME            PHASE        READY  AGE  URL OR REASON
  everything      Running        2/2  7s   everything.default.svc:8080/mcp
▸ example-server  Progressing    1/2  7s   MinimumReplicasUnavailable: 1 of 2…
  standby         ScaledToZero   0/0  7s

  image  example.com/example-server:1
  why    MinimumReplicasUnavailable: 1 of 2 pods are available
  event  3s ago, DeploymentUpdated: Deployment example-server updated
 ── What happens ──────────────────────────────────────────────────────────────
    1.00s  Operator    operator 2       started
    1.00s  Lease       smooth-operator  operator 2 leads
    1.00s  MCPServer   everything       Running, 2 of 2 available, Ready=True
    1.00s  MCPServer   example-server   Progressing, 1 of 2 available,
                       Ready=False
    1.00s  MCPServer   standby          ScaledToZero, 0 of 0 available,
                       Ready=True
    1.00s  Event       example-server   DeploymentUpdated: Deployment
                       example-server updated
 ── operator's log in target/playground/operator.log ──────────────────────────
 export KUBECONFIG=/home/somebody/smooth-operator/target/playground/kubeconfig
 ↑↓ select  a apply a sample  +- scale  b break its image  s rotate its Secret
 d delete it  w cut the watches  k kill the leader  q quit";
    assert_eq!(seen(&model(), 80, 24), expected.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn on_a_small_terminal_the_servers_the_last_lines_and_the_keys_are_left() {
    let expected = "
operator 2 leads, 1 stands by
  everything      Running        2/2
▸ example-server  Progressing    1/2
  standby         ScaledToZero   0/0
    1s example-server Progressing, 1 of…
    1s standby ScaledToZero, 0 of 0…
    1s example-server DeploymentUpdated…
KUBECONFIG=target/playground/kubeconfig
↑↓  a apply  +- scale  b break  s secret
d delete  w cut  k kill  q quit";
    assert_eq!(seen(&model(), 40, 10), expected.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn a_wide_terminal_has_the_last_event_of_every_server() {
    let seen = seen(&model(), 120, 40);
    let row = seen.iter().find(|line| line.starts_with("▸ example-server")).unwrap();
    assert!(row.ends_with("  MinimumReplicasUnavailable: 1 of 2 pods are…      DeploymentUpdated, 3s ago"), "{row}");
}

#[test]
fn between_the_sizes_the_head_and_the_reason_stay() {
    let seen = seen(&model(), 60, 14);
    assert_eq!(seen[1], "  NAME            PHASE        READY  AGE");
    assert_eq!(seen[5], "  why    MinimumReplicasUnavailable: 1 of 2 pods are…");
}

#[test]
fn no_size_is_too_small_to_draw_on_and_none_hides_the_selected_server() {
    let names: Vec<String> = (0..30).map(|number| format!("server-{number:02}")).collect();
    let mut model = Model::with_servers(&names.iter().map(String::as_str).collect::<Vec<_>>());
    model.select(17);
    for columns in (1..=130).step_by(3) {
        for rows in (1..=45).step_by(4) {
            let seen = seen(&model, columns, rows);
            if columns >= 36 && rows >= 6 {
                assert!(seen.iter().any(|line| line.starts_with("▸") && line.contains("server-17")), "{seen:#?}");
                assert!(seen.iter().any(|line| line.contains('q')), "{seen:#?}");
            }
        }
    }
}

#[test]
fn rows_that_have_no_space_are_hinted_at() {
    let names: Vec<String> = (0..30).map(|number| format!("server-{number:02}")).collect();
    let mut model = Model::with_servers(&names.iter().map(String::as_str).collect::<Vec<_>>());
    model.select(15);
    let seen = seen(&model, 80, 24);
    assert!(seen[3].starts_with(" ▴server-12"), "{seen:#?}");
    assert!(seen[6].starts_with("▸ server-15"), "{seen:#?}");
    assert!(seen[9].starts_with(" ▾server-18"), "{seen:#?}");
}

#[test]
fn an_empty_cluster_says_how_to_fill_it() {
    let seen = seen(&Model::new(signs()), 80, 24);
    assert!(seen.contains(&"  no MCPServer; a applies a sample".to_owned()), "{seen:#?}");
}

#[test]
fn after_the_leader_was_killed_the_time_until_another_one_may_lead_is_shown() {
    let mut model = model();
    model.lived(1, Life::Killed, Duration::from_secs(2));
    assert!(seen(&model, 80, 24)[0].ends_with("the leader is dead; Lease ends in 4s"));
    assert!(seen(&model, 40, 10)[0].ends_with("the leader is dead; Lease ends in 4s"));
}

#[test]
fn faults_are_counted_above_the_story() {
    let mut model = model();
    model.struck([("cut-watches", 8), ("delay", 21)].into());
    let expected = " ── What happens ───────────────────────── faults: cut-watches 8x, delay 21x ──";
    assert_eq!(seen(&model, 80, 24)[10], expected);
}

#[test]
fn the_phase_is_coloured_and_the_selected_row_is_bold() {
    let buffer = buffer(&model(), 80, 24);
    let cell = |column, row: u16| buffer[(column, row)].style();
    assert_eq!(cell(18, 3).fg, Some(Color::Green), "Running");
    assert_eq!(cell(18, 4).fg, Some(Color::Yellow), "Progressing");
    assert!(cell(2, 4).add_modifier.contains(Modifier::BOLD) && !cell(2, 3).add_modifier.contains(Modifier::BOLD));
}

#[test]
fn what_an_object_says_about_itself_can_not_move_the_cursor() {
    let mut model = Model::new(signs());
    let text = "red \u{1b}[31m\r\nand a bell \u{7}".to_owned();
    model.tell(story::Line { at: Duration::ZERO, kind: "Pod", name: "x".to_owned(), text });
    let seen = seen(&model, 80, 24).concat();
    assert!(seen.contains("red [31m and a bell"), "{seen}");
    assert!(!seen.contains(char::is_control));
}
