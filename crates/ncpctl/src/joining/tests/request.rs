//! A participant's keys and request: made once, never over another file, refused where their parts disagree.

use ncp_api::ErrorCode;

use super::*;

#[test]
fn keys_are_made_once() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let made = world.node("XA", network);
    let before = contents(&world.path("XA"));
    assert_eq!(world.node("XA", network).fingerprint(), made.fingerprint());
    assert_eq!(contents(&world.path("XA")), before);
    let other = world.try_node("XA", "XB", network).expect_err("another participant");
    assert_eq!(other.code, ErrorCode::EntryInstalledAlready);
    let foreign = world.try_node("XA", "XA", NetworkId(ncp_protocol::ids::Digest([9; 32])));
    assert_eq!(foreign.expect_err("another network").code, ErrorCode::EntryInstalledAlready);
    assert_eq!(contents(&world.path("XA")), before);
    assert!(!world.path("XA/keys/recovery.key").exists() && !world.path("XA/keys/identity.key").exists());
}

#[test]
fn a_request_is_written_once_and_never_over_another_file() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let made = world.node("XA", network);
    let path = world.request(&made);
    let bytes = fs::read(&path).expect("file");
    Request::write(&path, &made).expect("the same again");
    assert_eq!(fs::read(&path).expect("file"), bytes);
    let other = world.node("XB", network);
    assert_eq!(Request::write(&path, &other).expect_err("taken").code, ErrorCode::OutputExists);
}

#[test]
fn a_request_whose_parts_do_not_agree_is_refused() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let (xa, xb) = (world.node("XA", network), world.node("XB", network));
    let (xa_path, xb_path) = (world.request(&xa), world.request(&xb));
    let read =
        |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(path).expect("file")).expect("JSON") };
    let (xa_wire, xb_wire) = (read(&xa_path), read(&xb_path));
    let check = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut wire = xa_wire.clone();
        change(&mut wire);
        let path = world.path("changed.json");
        fs::write(&path, wire.to_string()).expect("written");
        Request::read(&path).map(|_| ()).map_err(|fault| fault.code)
    };
    assert_eq!(check(&|_| ()), Ok(()));
    let invalid = Err(ErrorCode::JoiningFileInvalid);
    assert_eq!(check(&|wire| wire["certificate_request"] = xb_wire["certificate_request"].clone()), invalid);
    assert_eq!(check(&|wire| wire["certificate_request"] = "none".into()), invalid);
    assert_eq!(check(&|wire| wire["entries"] = serde_json::json!(["AAAA"])), invalid);
    assert_eq!(check(&|wire| wire["schema"] = "ncp.joining-answer/1".into()), invalid);
    assert_eq!(check(&|wire| wire["entries"] = serde_json::json!([])), invalid);
    assert_eq!(check(&|wire| wire["entries"] = xb_wire["entries"].clone()), invalid);
    let mut entry = xa.entries.encode().pop().expect("one");
    *entry.last_mut().expect("bytes") ^= 1;
    assert_eq!(check(&|wire| wire["entries"] = serde_json::json!([base64(&entry)])), invalid);
    let missing = Request::read(&world.path("none")).map(|_| ()).map_err(|fault| fault.code);
    assert_eq!(missing, Err(ErrorCode::FileMissing));
}

fn base64(bytes: &[u8]) -> String {
    #[derive(serde::Serialize)]
    struct Wire(#[serde(with = "ncp_api::text::base64")] Vec<u8>);
    serde_json::to_value(Wire(bytes.to_vec())).expect("JSON").as_str().expect("text").to_owned()
}
