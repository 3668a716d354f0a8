use serde_json::json;

use super::super::model::LEASE_KIND;
use super::super::model::tests::{lease, server, signs};
use super::*;

fn press(key: char, model: &Model) -> Option<Action> {
    action(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), model)
}

fn key(name: &str) -> Key {
    ("default".to_owned(), name.to_owned())
}

#[test]
fn q_and_ctrl_c_quit() {
    let model = Model::new(signs());
    assert_eq!(press('q', &model), Some(Action::Quit));
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(action(ctrl_c, &model), Some(Action::Quit));
}

#[test]
fn keys_act_on_the_selected_server() {
    let mut model = Model::with_servers(&["a", "b"]);
    model.select(1);
    for (pressed, deed) in [
        ('+', Deed::Scale(key("b"), 1)),
        ('=', Deed::Scale(key("b"), 1)),
        ('-', Deed::Scale(key("b"), -1)),
        ('b', Deed::BreakOrMend(key("b"))),
        ('d', Deed::Delete(key("b"))),
        ('a', Deed::Apply),
        ('w', Deed::CutWatches),
    ] {
        assert_eq!(press(pressed, &model), Some(Action::Do(deed)), "{pressed}");
    }
    let arrow = |code| action(KeyEvent::new(code, KeyModifiers::NONE), &model);
    assert_eq!((arrow(KeyCode::Up), arrow(KeyCode::Down)), (Some(Action::Select(-1)), Some(Action::Select(1))));
}

#[test]
fn the_secret_that_is_rotated_is_the_one_that_the_server_names() {
    let mut object = server("a", "Running", 1, 1);
    object["spec"]["secretName"] = json!("mcp-secrets");
    let model = Model::new(signs()).with("MCPServer", object);
    assert_eq!(press('s', &model), Some(Action::Do(Deed::Rotate(key("mcp-secrets")))));
    let Some(Action::Explain(why)) = press('s', &Model::with_servers(&["a"])) else { panic!("there is no Secret") };
    assert_eq!(why, "a has no Secret; example-server has one");
}

#[test]
fn the_operator_that_is_killed_is_the_one_that_leads() {
    let model = Model::new(signs()).with_operator(0, "x").with_operator(1, "y");
    assert_eq!(press('k', &model), Some(Action::Explain("nobody leads at the moment".to_owned())));
    assert_eq!(press('k', &model.with(LEASE_KIND, lease("y"))), Some(Action::Kill(1)));
}

#[test]
fn where_there_is_no_server_a_key_says_so_instead_of_doing_nothing() {
    let model = Model::new(signs());
    for pressed in ['+', '-', 'b', 's', 'd'] {
        assert!(matches!(press(pressed, &model), Some(Action::Explain(_))), "{pressed}");
    }
}

#[test]
fn other_keys_and_the_release_of_a_key_mean_nothing() {
    let model = Model::with_servers(&["a"]);
    assert_eq!(press('x', &model), None);
    let released = KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, KeyEventKind::Release);
    assert_eq!(action(released, &model), None);
    let ctrl_d = KeyEvent::new(KeyCode::Char('d'), KeyModifiers::CONTROL);
    assert_eq!(action(ctrl_d, &model), None, "it is not d");
}

#[test]
fn every_key_that_is_shown_means_something() {
    let model = Model::with_servers(&["a"]);
    for pressed in hints(&model).iter().flat_map(|hint| hint.key.chars()) {
        let code = match pressed {
            '↑' => KeyCode::Up,
            '↓' => KeyCode::Down,
            other => KeyCode::Char(other),
        };
        assert!(action(KeyEvent::new(code, KeyModifiers::NONE), &model).is_some(), "{pressed}");
    }
}

#[test]
fn the_hint_says_what_b_does_next() {
    let mut broken = server("a", "Progressing", 0, 1);
    broken["spec"]["image"] = json!("invalid.example/example.com/a:1");
    let hint = |model: &Model| hints(model).iter().find(|hint| hint.key == "b").map(|hint| hint.long);
    assert_eq!(hint(&Model::with_servers(&["a"])), Some("break its image"));
    assert_eq!(hint(&Model::new(signs()).with("MCPServer", broken)), Some("mend its image"));
}
