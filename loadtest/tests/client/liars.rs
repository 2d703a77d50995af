//! Servers that lie, break off or talk nonsense.

use needledrop_loadtest::client::Get;
use needledrop_loadtest::generated;
use needledrop_loadtest::measured::{Protocol, Trouble};

use crate::world::{ALL, Notes, World, ask, fetch};

#[tokio::test]
async fn wrong_lengths_are_caught() {
    let world = World::open();
    for lie in ["/short=10/size=1000/song", "/long=10/size=1000/song", "/short=10/size=300k/song"] {
        for range in [None, Some((0, 499))] {
            let mut connection = world.bare().await;
            let (_, answer) = fetch(&mut connection, &Get { range, ..ask(lie) }).await;
            let failure = answer.expect_err(lie);
            assert_eq!(failure.trouble, Trouble::Length, "{lie}: {failure}");
            assert!(!connection.is_usable());
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_taken_for_whole() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        let (notes, answer) = fetch(&mut connection, &ask("/cut=50k/size=100k/song")).await;
        let failure = answer.unwrap_err();
        assert_eq!(failure.trouble, Trouble::Broken, "{protocol}: {failure}");
        assert!(notes.bytes.len() <= 50 << 10);
    }
}

#[tokio::test]
async fn another_range_is_no_answer_and_all_of_the_object_is() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        let get = Get { range: Some((100, 199)), ..ask("/range=shifted/size=1000/song") };
        let (notes, answer) = fetch(&mut connection, &get).await;
        let failure = answer.unwrap_err();
        assert_eq!((failure.trouble, notes.heads), (Trouble::Protocol, 0), "{protocol}: {failure}");
        let mut connection = world.connect(protocol).await;
        let get = Get { range: Some((100, 199)), ..ask("/range=ignored/size=1000/song") };
        let answer = fetch(&mut connection, &get).await.1.unwrap();
        assert_eq!((answer.head.status.as_u16(), answer.body_bytes), (200, 1000), "{protocol}");
    }
}

#[tokio::test]
async fn a_flipped_byte_is_found_by_its_position() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        let (notes, answer) = fetch(&mut connection, &ask("/flip=77777/size=100k/song")).await;
        answer.unwrap();
        assert_eq!(generated::first_difference("song", 0, &notes.bytes), Some(77_777), "{protocol}");
    }
}

#[tokio::test]
async fn refusals_are_answers_and_redirects_are_not() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        for (status, trouble) in
            [(404, Trouble::Refused), (429, Trouble::Overload), (503, Trouble::Overload), (500, Trouble::Server)]
        {
            let answer = fetch(&mut connection, &ask(&format!("/status={status}/song"))).await.1.unwrap();
            assert_eq!((answer.head.status.as_u16(), answer.head.trouble()), (status, Some(trouble)));
        }
        let failure = fetch(&mut connection, &ask("/status=302/song")).await.1.unwrap_err();
        assert_eq!(failure.trouble, Trouble::Refused);
        assert!(failure.sentence.contains("/song"), "{failure}");
        let answer = fetch(&mut connection, &ask("/cache=edge;hit;detail=memory/size=10/song")).await;
        if protocol != Protocol::H1 {
            assert_eq!(answer.1.unwrap().head.fields["cache-status"], "edge;hit;detail=memory");
        }
    }
}

#[tokio::test]
async fn leaving_in_the_middle_does_not_hurt_the_next_request() {
    let world = World::open();
    for protocol in [Protocol::H2, Protocol::H3] {
        let mut connection = world.connect(protocol).await;
        for _ in 0..20 {
            let mut notes = Notes { leave_after: Some(100_000), ..Notes::default() };
            let answer = connection.get(&ask("/size=4m/song"), &mut notes).await.unwrap();
            assert!(answer.left && answer.body_bytes < 4 << 20, "{protocol}");
            assert!(connection.is_usable());
            let (notes, answer) = fetch(&mut connection, &ask("/size=700k/other")).await;
            assert!(!answer.unwrap().left);
            assert!(generated::matches("other", 0, &notes.bytes) && notes.bytes.len() == 700 << 10, "{protocol}");
        }
    }
    let mut connection = world.connect(Protocol::H1).await;
    let mut notes = Notes { leave_after: Some(1), ..Notes::default() };
    assert!(connection.get(&ask("/size=4m/song"), &mut notes).await.unwrap().left);
    assert!(!connection.is_usable());
}
