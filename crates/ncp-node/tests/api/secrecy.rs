//! Nothing of what officers write lies in the data folder in the clear.

use std::path::Path;

use ncp_api::message::{Assign, Contribute, MessageName};
use ncp_api::release::Reject;
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::Handling;

use crate::work::arrival;
use crate::world::{DRAFTER, RELEASER, World, attachment, fresh, request, soon};

/// Words that stand in each place where content goes.
const CANARIES: [&str; 11] = [
    "canarytitle",
    "canarytext",
    "canaryform",
    "canaryfile",
    "canaryname",
    "canarynational",
    "canaryedit",
    "canaryreject",
    "canarynote",
    "canarycontribution",
    "canaryarrival",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_found_in_the_data_folder() {
    let mut world = World::serving().await;
    let client = world.client(DRAFTER);
    let path = world.folder.path().join("upload");
    for length in [100, 300_000] {
        std::fs::write(&path, "canaryfile ".repeat(length / 11)).unwrap();
        let blob = soon(client.upload(&path, |_| ())).await.unwrap();
        let mut message = request("canarytitle");
        message.text = Some("canarytext ".repeat(50));
        message.national_ref = Some("canarynational".to_owned());
        let fields = serde_json::json!({"type": "van", "registration": "canaryform"});
        message.form = Some(ncp_api::message::FormContent {
            form: "vehicle/2".parse().unwrap(),
            fields: fields.as_object().unwrap().clone(),
        });
        message.attachments = vec![attachment("canaryname.bin", &blob.id)];
        let draft = world.draft(&message).await;
        let name = MessageName::from(draft.reference);
        let shown = soon(world.client(RELEASER).release(&name)).await.unwrap();
        let signature = shown.statement(Decision::Reject).sign(&world.officers[&RELEASER]);
        let reject = Reject { code: shown.code, signature, reason: "canaryreject".to_owned() };
        soon(world.client(RELEASER).reject(&name, &reject)).await.unwrap();
        message.text = Some("canaryedit".to_owned());
        soon(client.edit(&name, &message)).await.unwrap();
        world.approve(RELEASER, &draft).await.unwrap();
    }
    let incoming = MessageName::from(arrival(&world, "canaryarrival", "canaryarrival", Handling::H0).await);
    let assign = Assign { services: vec!["customs".parse().unwrap()], note: Some("canarynote".to_owned()) };
    soon(client.assign(&incoming, &assign)).await.unwrap();
    let blob = soon(client.upload(&path, |_| ())).await.unwrap();
    let contribution = Contribute {
        task: 1,
        text: Some("canarycontribution".to_owned()),
        attachments: vec![attachment("canaryname.bin", &blob.id)],
    };
    soon(client.contribute(&incoming, &contribution, &fresh())).await.unwrap();
    world.stop().await;

    let mut searched = 0;
    search(&world.data(), &mut searched);
    assert!(searched > 600_000, "bodies, journal, spool and index were searched: {searched} bytes");
    // The search itself works.
    assert!(find(&std::fs::read(&path).unwrap(), "canaryfile"));
}

fn search(folder: &Path, searched: &mut u64) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for canary in CANARIES {
            assert!(!find(path.as_os_str().as_encoded_bytes(), canary), "{canary} in the name {}", path.display());
        }
        if path.is_dir() {
            search(&path, searched);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        *searched += bytes.len() as u64;
        for canary in CANARIES {
            assert!(!find(&bytes, canary), "{canary} in {}", path.display());
        }
    }
}

fn find(bytes: &[u8], canary: &str) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
}
