//! What an approval binds: every member of a draft that leaves, form values and attachments included, changes the code that
//! another officer has to type, and the approval that was signed before counts for nothing.

use ncp_api::ErrorCode;
use ncp_api::message::{FormContent, MessageName, NewMessage};
use ncp_protocol::codes::{Handling, Precedence, UrgentGround};
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::keys::sha256;
use ncp_protocol::manifest::Manifest;
use serde_json::json;

use crate::party::id;
use crate::world::{DRAFTER, RELEASER, World, attachment, code, request, soon};

fn form(colour: &str) -> FormContent {
    let fields = json!({"type": "van", "colour": colour, "year": 2019});
    FormContent { form: "vehicle/2".parse().unwrap(), fields: fields.as_object().unwrap().clone() }
}

async fn upload(world: &World, name: &str, bytes: &[u8]) -> String {
    let path = world.folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    soon(world.client(DRAFTER).upload(&path, |_| ())).await.unwrap().id
}

/// A draft with everything that a draft can have.
async fn full(world: &World) -> NewMessage {
    let blob = upload(world, "photo.jpg", b"photo").await;
    let mut message = request("Grey van");
    message.form = Some(form("grey"));
    message.attachments = vec![attachment("photo.jpg", &blob)];
    message.precedence = Precedence::Urgent;
    message.urgent_ground = Some(UrgentGround::LifeOrLimb);
    message.answer_by = Some(UnixMillis(ncp_node::clock::now().0 + 86_400_000));
    message.also_sent_through = vec!["siena".parse().unwrap()];
    message.subject_code = Some("organised-crime".parse().unwrap());
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_any_member_changes_the_code_and_voids_what_was_signed() {
    type Change = (&'static str, fn(&mut NewMessage));
    let changes: [Change; 14] = [
        ("nothing at all", |_| ()),
        ("a value of the form", |message| message.form = Some(form("white"))),
        ("a field of the form", |message| drop(message.form.as_mut().unwrap().fields.remove("year"))),
        ("the form", |message| message.form = None),
        ("the name of an attachment", |message| message.attachments[0].name = "other.jpg".to_owned()),
        ("the type of an attachment", |message| message.attachments[0].media_type = "image/png".to_owned()),
        ("the text", |message| message.text = Some("Who drives it?".to_owned())),
        ("the subject", |message| message.subject = "White van".to_owned()),
        ("the recipients", |message| message.to = vec![id("XB"), id("XC")]),
        ("the handling", |message| message.handling = Handling::H0),
        ("the precedence", |message| {
            (message.precedence, message.urgent_ground) = (Precedence::Routine, None);
        }),
        ("the ground", |message| message.urgent_ground = Some(UrgentGround::PublicSecurity)),
        ("the lifetime", |message| message.lifetime_days = Some(1)),
        ("the other channels", |message| message.also_sent_through = Vec::new()),
    ];
    let world = World::serving().await;
    let (drafter, releaser) = (world.client(DRAFTER), world.client(RELEASER));
    let original = full(&world).await;
    let draft = world.draft(&original).await;
    let name = MessageName::from(draft.reference);
    let mut before = soon(releaser.release(&name)).await.unwrap();
    let mut codes = std::collections::BTreeSet::from([before.code.to_string()]);
    for (what, change) in changes {
        let mut edited = original.clone();
        change(&mut edited);
        soon(drafter.edit(&name, &edited)).await.unwrap();
        let old = soon(releaser.approve(&name, &world.approval(RELEASER, &before))).await;
        assert_eq!(code(old), ErrorCode::ReleaseEditedMeanwhile, "{what}");
        let now = soon(releaser.release(&name)).await.unwrap();
        assert_ne!(now.commitment, before.commitment, "{what}");
        codes.insert(now.code.to_string());
        before = now;
    }
    // Twenty bits each: two of them may be alike by chance, once in ten thousand runs.
    assert!(codes.len() >= changes.len(), "{codes:?}");
    let mut other = original.clone();
    other.attachments[0].blob = upload(&world, "photo.jpg", b"another photo").await;
    soon(drafter.edit(&name, &other)).await.unwrap();
    let now = soon(releaser.release(&name)).await.unwrap();
    assert_ne!(now.commitment, before.commitment, "the bytes of an attachment");
    assert_eq!(
        code(soon(releaser.approve(&name, &world.approval(RELEASER, &before))).await),
        ErrorCode::ReleaseEditedMeanwhile
    );
    soon(releaser.approve(&name, &world.approval(RELEASER, &now))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_that_is_approved_names_the_digest_of_every_part() {
    let world = World::serving().await;
    let original = full(&world).await;
    let draft = world.draft(&original).await;
    let shown = soon(world.client(RELEASER).release(&MessageName::from(draft.reference))).await.unwrap();
    let manifest = Manifest::decode(&shown.manifest).unwrap();
    let parts: Vec<_> = manifest.parts.iter().map(|part| (part.name.as_str(), part.sha256)).collect();
    let shown_form = serde_json::to_vec(shown.message.form.as_ref().unwrap()).unwrap();
    assert_eq!(shown.message.form, original.form);
    assert_eq!(
        parts,
        [("message.txt", sha256(b"Who owns it?")), ("form.json", sha256(&shown_form)), ("photo.jpg", sha256(b"photo"))]
    );
    assert_eq!(manifest.answer_by, original.answer_by);
    assert_eq!(manifest.urgent_ground, original.urgent_ground);
    assert_eq!(manifest.subject_code, original.subject_code);
    assert_eq!(manifest.also_sent_through, original.also_sent_through);
}
