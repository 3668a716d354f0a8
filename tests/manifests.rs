//! What stands in `config/` is what the code says.

use smooth_operator::api::crd;

#[test]
fn the_crd_in_config_is_the_one_that_the_types_make() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/crd/mcp.mcp.dev_mcpservers.yaml");
    let written = std::fs::read_to_string(file).expect("config/crd is there");
    assert!(written == crd::yaml().unwrap(), "config/crd is not what the types make: run `make manifests`");
}
