//! Whose forms are whose, for how long, and how many.

use tempfile::TempDir;

use super::*;
use crate::crypto::key_ring::KeyRing;
use crate::store::embedded::Embedded;
use crate::store::records::Backend as _;

const HOST: &str = "paie.example.fr";
const SETTINGS: Settings =
    Settings { enabled: true, max_size: 1000, max_total: 5000, keep: Duration::from_secs(3600), automatic: false };

fn agent(sub: &str) -> Agent<'_> {
    Agent { provider: "f-1", sub }
}

/// A stash, and the store below it.
fn stash() -> (Stash, Arc<Embedded>, TempDir) {
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let keys = Arc::new(KeyRings::new(KeyRing::ephemeral(clock.now()), None));
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(folder.path(), &clock).unwrap());
    let records = Records::new(Arc::clone(&store) as _, Arc::clone(&keys), clock.clone());
    (Stash::new(keys, clock, records), store, folder)
}

/// What a restart, or another gateway, makes of it.
fn another(stash: &Stash) -> Stash {
    Stash::new(Arc::clone(&stash.keys), stash.clock.clone(), stash.records.clone())
}

fn form(size: usize) -> Form {
    let content_type = Some(HeaderValue::from_static("application/x-www-form-urlencoded"));
    let (origin, referer) = (Some(HeaderValue::from_static("https://paie.example.fr")), None);
    let body = Bytes::from(vec![0xFF; size]);
    Form { target: "/enregistrer?x=1".to_owned(), content_type, origin, referer, same_origin: true, body }
}

async fn kept(stash: &Stash, owner: Owner<'_>, size: usize) -> Option<FormId> {
    let room = stash.reserve(owner.agent, size, &SETTINGS).await?;
    stash.keep(form(size), owner, SETTINGS.keep, room).await.ok()
}

#[tokio::test]
async fn a_form_is_its_agents_in_their_browser_at_its_host_for_an_hour() {
    let (stash, _store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = Owner { host: HOST, agent: agent("s-1"), browser: &browser };
    let id = kept(&stash, owner, 100).await.unwrap();
    let found = stash.find(&id, owner).await.unwrap().unwrap();
    assert_eq!((found.form, found.sent_at), (form(100), None));
    for other in [
        Owner { host: "autre.example.fr", ..owner },
        Owner { agent: agent("s-2"), ..owner },
        Owner { browser: &Browser::unknown(), ..owner },
    ] {
        assert!(stash.find(&id, other).await.unwrap().is_none(), "{other:?}");
        assert!(!stash.discard(&id, other).await.unwrap());
    }
    stash.clock.advance(Duration::from_secs(3599));
    assert!(stash.find(&id, owner).await.unwrap().is_some());
    stash.clock.advance(Duration::from_secs(1));
    assert!(stash.find(&id, owner).await.unwrap().is_none());
}

#[tokio::test]
async fn a_form_that_was_sent_is_kept_until_its_end_or_until_it_is_discarded() {
    let (stash, _store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = Owner { host: HOST, agent: agent("s-1"), browser: &browser };
    let id = kept(&stash, owner, 100).await.unwrap();
    let found = stash.find(&id, owner).await.unwrap().unwrap();
    stash.sent(&id, owner.agent, &found).await;
    let again = another(&stash).find(&id, owner).await.unwrap().unwrap();
    assert_eq!((again.form, again.sent_at.is_some()), (form(100), true));
    assert!(stash.discard(&id, owner).await.unwrap());
    assert!(stash.find(&id, owner).await.unwrap().is_none());
}

#[tokio::test]
async fn a_record_moved_to_another_place_does_not_open() {
    let (stash, store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = Owner { host: HOST, agent: agent("s-1"), browser: &browser };
    let (one, two) = (kept(&stash, owner, 1).await.unwrap(), kept(&stash, owner, 2).await.unwrap());
    let records = store.scan(Table::Stash, None, 10).await.unwrap().records;
    let [first, second] = &records[..] else { panic!("two records: {}", records.len()) };
    assert!(!first.value.windows(11).any(|window| window == b"enregistrer"), "it is sealed");
    let until = stash.clock.now().plus(SETTINGS.keep);
    store.put(Table::Stash, &first.key, &second.value, until).await.unwrap();
    store.put(Table::Stash, &second.key, &first.value, until).await.unwrap();
    assert!(stash.find(&one, owner).await.unwrap().is_none());
    assert!(stash.find(&two, owner).await.unwrap().is_none());
}

#[tokio::test]
async fn each_agent_has_room_for_a_few_forms_and_all_of_them_for_so_many_bytes() {
    let (stash, _store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = |sub| Owner { host: HOST, agent: agent(sub), browser: &browser };
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(kept(&stash, owner("s-1"), 600).await.unwrap());
    }
    assert!(kept(&stash, owner("s-1"), 1).await.is_none(), "a sixth of one agent");
    assert!(kept(&stash, owner("s-2"), 2001).await.is_none(), "more than there is room for");
    let reading = stash.reserve(agent("s-2"), 2000, &SETTINGS).await.unwrap();
    assert!(stash.reserve(agent("s-3"), 1, &SETTINGS).await.is_none(), "what is being read counts");
    drop(reading);
    assert!(stash.reserve(agent("s-3"), 2000, &SETTINGS).await.is_some());
    let later = another(&stash);
    assert!(kept(&later, owner("s-1"), 1).await.is_none(), "those that another gateway kept count");
    assert!(kept(&later, owner("s-2"), 2001).await.is_none());
    let sent = stash.find(&ids[3], owner("s-1")).await.unwrap().unwrap();
    stash.sent(&ids[3], agent("s-1"), &sent).await;
    assert!(kept(&stash, owner("s-1"), 1).await.is_some(), "what was sent makes room");
    assert!(stash.find(&ids[3], owner("s-1")).await.unwrap().is_none(), "and is gone");
    assert!(kept(&stash, owner("s-1"), 1).await.is_none());
    assert!(stash.discard(&ids[0], owner("s-1")).await.unwrap());
    assert!(kept(&stash, owner("s-1"), 1).await.is_some(), "what was discarded makes room");
    stash.clock.advance(SETTINGS.keep);
    assert!(kept(&stash, owner("s-1"), 1).await.is_some(), "what has ended makes room");
}

#[tokio::test]
async fn room_grows_with_what_arrives_and_comes_back_with_what_does_not() {
    let (stash, _store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = |sub| Owner { host: HOST, agent: agent(sub), browser: &browser };
    let mut room = stash.reserve(agent("s-1"), 10, &SETTINGS).await.unwrap();
    let sent = kept(&stash, owner("s-1"), 1000).await.unwrap();
    assert!(kept(&stash, owner("s-2"), 3990).await.is_some(), "what has not arrived takes no room");
    assert!(!stash.grow(&mut room, 11, &SETTINGS) && room.size() == 10);
    let found = stash.find(&sent, owner("s-1")).await.unwrap().unwrap();
    stash.sent(&sent, agent("s-1"), &found).await;
    assert!(stash.grow(&mut room, 1010, &SETTINGS) && room.size() == 1010, "what was sent goes for it");
    assert!(kept(&stash, owner("s-3"), 1).await.is_none());
    stash.keep(form(1010), owner("s-1"), SETTINGS.keep, room).await.unwrap();
    assert!(stash.find(&sent, owner("s-1")).await.unwrap().is_none());
    assert!(kept(&stash, owner("s-3"), 1).await.is_none());
}

#[tokio::test]
async fn what_was_sent_goes_for_a_form_that_is_kept_and_for_none_that_is_not() {
    let (stash, _store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = Owner { host: HOST, agent: agent("s-1"), browser: &browser };
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(kept(&stash, owner, 1000).await.unwrap());
    }
    let found = stash.find(&ids[0], owner).await.unwrap().unwrap();
    stash.sent(&ids[0], owner.agent, &found).await;
    assert!(stash.reserve(agent("s-1"), 1001, &SETTINGS).await.is_none(), "it is not enough");
    assert!(stash.reserve(agent("s-2"), 1, &SETTINGS).await.is_none(), "and it counts");
    let room = stash.reserve(agent("s-1"), 10, &SETTINGS).await.unwrap();
    assert!(stash.reserve(agent("s-1"), 10, &SETTINGS).await.is_none(), "it goes for one only");
    drop(room);
    assert!(stash.find(&ids[0], owner).await.unwrap().is_some(), "that one never arrived");
    assert!(stash.reserve(agent("s-2"), 1, &SETTINGS).await.is_none(), "and it counts again");
    assert!(kept(&stash, owner, 1000).await.is_some());
    assert!(stash.find(&ids[0], owner).await.unwrap().is_none());
}

#[tokio::test]
async fn the_same_sub_at_another_provider_is_another_agent() {
    let (stash, _store, _folder) = stash();
    let browser = Browser::unknown();
    let owner = Owner { host: HOST, agent: agent("s-1"), browser: &browser };
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(kept(&stash, owner, 1).await.unwrap());
    }
    let found = stash.find(&ids[0], owner).await.unwrap().unwrap();
    stash.sent(&ids[0], owner.agent, &found).await;
    let other = Owner { host: "autre.example.fr", agent: Agent { provider: "f-2", sub: "s-1" }, ..owner };
    for _ in 0..5 {
        assert!(kept(&stash, other, 1).await.is_some());
    }
    assert!(kept(&stash, other, 1).await.is_none());
    assert!(stash.find(&ids[0], owner).await.unwrap().is_some(), "nobody takes another's place");
}
