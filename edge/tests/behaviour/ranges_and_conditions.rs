//! The core's table of range and conditional cases, through the edge: cold, then from the cache.

use std::sync::Arc;

use crate::world::{Manner, World};
use http::Method;
use needledrop_core::{Method as CoreMethod, UnixSeconds, cases};

#[tokio::test]
async fn every_case_of_the_table_holds_cold_and_warm() {
    let table = cases::table();
    let world = World::new().await;
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (number, case) in table.cases.iter().enumerate() {
        let object = table.object(case.object);
        let validators = &object.validators;
        if validators.etag.as_ref().is_none_or(needledrop_core::EntityTag::is_weak) {
            continue; // passes the cache by with upstream's own answers: foreign_origins.rs
        }
        // A path of its own: every case meets a cold object first, then a warm one.
        let path = format!("/t/{number}.ogg");
        world.origin.put(
            &path,
            Manner {
                bytes: Arc::new(object.all_bytes()),
                etag: validators.etag.as_ref().map(ToString::to_string),
                last_modified: validators.last_modified.map(|at| at.0),
                ..Manner::object(0)
            },
        );
        for round in ["cold", "warm"] {
            let method = if case.method == CoreMethod::Get { Method::GET } else { Method::HEAD };
            let fields = case.request(validators, UnixSeconds(1_700_000_000));
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let got = world.send(method, &world.sign(&path), &fields).await;
            let fields = got.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let received = cases::Received {
                status: got.status.as_u16(),
                fields: fields.collect(),
                body: got.bytes().await.unwrap().to_vec(),
            };
            if let Err(why) = case.check(&received, object, validators) {
                wrong.push(format!("{} ({round}): {why}", case.name));
            }
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 200, "only {checked} cases");
}
