//! The rules as the manual tells them, over every kind of condition.

use std::net::IpAddr;

use super::*;
use crate::clock::Timestamp;
use crate::identity::{ClaimValue, Claims};
use crate::policy::{Circumstances, Domains, Globs, Kind, Networks, Subject, Test, Value, Values, Window, Zone};
use crate::route::PathMap;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn condition(name: &str, test: Test) -> Condition {
    Condition { name: name.to_owned(), wanted: String::new(), line: 1, test }
}

fn claim(name: &str, values: &[&str]) -> Condition {
    let values: Values = values.iter().map(|value| text(value)).collect();
    let subject = if name == "sub" { Subject::Sub } else { Subject::Claim(name.to_owned()) };
    condition(name, Test::Claim(subject, values))
}

fn custom(member: &str, values: &[Value]) -> Condition {
    let way = vec!["custom".to_owned(), member.to_owned()];
    condition("custom", Test::Claim(Subject::Member(way), values.iter().cloned().collect()))
}

fn not(conditions: Vec<Condition>) -> Condition {
    condition("not", Test::Not(vec![conditions]))
}

fn block(line: usize, conditions: Vec<Condition>, reason: Option<&str>) -> Arc<Block> {
    let origin = BlockOrigin { file: Arc::new(PathBuf::from("portillon.toml")), line };
    Arc::new(Block { conditions, reason: reason.map(str::to_owned), origin })
}

fn allow(conditions: Vec<Condition>) -> Rules {
    Rules { deny: vec![], allow: vec![block(1, conditions, None)], ..Rules::default() }
}

fn agent(claims: &[(&str, ClaimValue)]) -> Claims {
    let mut agent = Claims::new("s");
    claims.iter().for_each(|(name, value)| agent.insert(*name, value.clone()));
    agent
}

fn of(name: &str, value: &str) -> Claims {
    agent(&[(name, ClaimValue::Text(value.to_owned()))])
}

/// A request, and what rules say of it.
struct Call {
    client: Option<IpAddr>,
    method: Method,
    path: &'static str,
    now: &'static str,
}

impl Default for Call {
    fn default() -> Self {
        Self { client: None, method: Method::GET, path: "/", now: "2026-01-05T12:00" }
    }
}

impl Call {
    fn facts<T>(&self, agent: &Claims, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let now: Timestamp = Zone::default().instant(self.now).unwrap();
        let path = RequestPath::new(self.path);
        look(&Circumstances { client: self.client, method: &self.method, path: &path, now }.of(agent))
    }

    fn enters(&self, rules: &Rules, agent: &Claims) -> bool {
        self.facts(agent, |facts| rules.verdict(facts).is_ok())
    }
}

fn enters(rules: &Rules, agent: &Claims) -> bool {
    Call::default().enters(rules, agent)
}

#[test]
fn without_an_allow_block_every_agent_enters() {
    assert!(enters(&Rules::default(), &agent(&[])));
}

#[test]
fn a_block_without_a_condition_holds_for_nobody() {
    assert!(!enters(&allow(vec![]), &agent(&[])));
}

#[test]
fn an_absent_claim_satisfies_no_condition_and_skips_none() {
    let rules = allow(vec![claim("siret", &["1", ""])]);
    assert!(enters(&rules, &of("siret", "1")));
    assert!(!enters(&rules, &of("siret", "2")) && !enters(&rules, &agent(&[])));
    let both = allow(vec![claim("siret", &["1"]), claim("acr", &["eidas2"])]);
    assert!(!enters(&both, &of("acr", "eidas2")));
}

#[test]
fn an_absent_claim_does_not_satisfy_a_negation_either() {
    let rules = allow(vec![not(vec![claim("belonging_population", &["stagiaire"])])]);
    assert!(enters(&rules, &of("belonging_population", "agent")));
    assert!(!enters(&rules, &of("belonging_population", "stagiaire")) && !enters(&rules, &agent(&[])));
    // Nor where another condition within would decide.
    let two = allow(vec![not(vec![claim("siret", &["1"]), claim("acr", &["eidas2"])])]);
    assert!(!enters(&two, &of("acr", "eidas1")) && !enters(&two, &of("siret", "2")));
    let both = |siret: &str, acr: &str| {
        agent(&[("siret", ClaimValue::Text(siret.into())), ("acr", ClaimValue::Text(acr.into()))])
    };
    assert!(
        enters(&two, &both("1", "eidas1")) && enters(&two, &both("2", "eidas2")) && !enters(&two, &both("1", "eidas2"))
    );
}

#[test]
fn a_list_under_not_is_none_of_them() {
    let alternatives = vec![vec![claim("siret", &["1"])], vec![claim("siret", &["2"])]];
    let rules = allow(vec![condition("not", Test::Not(alternatives))]);
    assert!(
        enters(&rules, &of("siret", "3")) && !enters(&rules, &of("siret", "1")) && !enters(&rules, &of("siret", "2"))
    );
}

#[test]
fn a_claim_of_another_type_is_judged_by_neither_side() {
    let external = |value: &str| agent(&[("custom", ClaimValue::Json(format!("{{\"external\":{value}}}")))]);
    let is = allow(vec![custom("external", &[Value::Literal("false".into())])]);
    let is_not = allow(vec![not(vec![custom("external", &[Value::Literal("true".into())])])]);
    assert!(enters(&is, &external("false")) && enters(&is_not, &external("false")));
    for look_alike in ["\"false\"", "0", "null", "[false]", "{\"x\":false}", "true"] {
        assert!(!enters(&is, &external(look_alike)), "{look_alike}");
    }
    for look_alike in ["\"true\"", "null", "true", "{\"x\":false}"] {
        assert!(!enters(&is_not, &external(look_alike)), "{look_alike}");
    }
}

#[test]
fn sub_and_lists_are_claims_like_others() {
    let roles = agent(&[("roles", ClaimValue::List(vec!["a".into(), "agent_public".into()]))]);
    assert!(enters(&allow(vec![claim("roles", &["agent_public"])]), &roles));
    assert!(!enters(&allow(vec![claim("roles", &["agent"])]), &roles));
    assert!(enters(&allow(vec![claim("sub", &["s"])]), &roles) && !enters(&allow(vec![claim("sub", &["S"])]), &roles));
}

#[test]
fn an_address_counts_by_its_domain_and_only_where_it_is_one() {
    let mut domains = Domains::default();
    domains.insert(".gouv.fr").unwrap();
    let rules = allow(vec![condition("email_domain", Test::EmailDomain(domains))]);
    assert!(enters(&rules, &of("email", "a@interieur.gouv.fr")));
    for email in ["a@evil@interieur.gouv.fr", "a@gouv.fr", "a@interieur.gouv.fr.evil.fr", "a@interieur.g\u{43e}uv.fr"] {
        assert!(!enters(&rules, &of("email", email)), "{email}");
    }
    assert!(!enters(&rules, &agent(&[("email", ClaimValue::List(vec!["a@x.gouv.fr".into()]))])));
}

#[test]
fn a_unit_counts_by_pattern() {
    let mut globs = Globs::default();
    globs.insert("MEF/DGFIP/*").unwrap();
    let rules = allow(vec![condition(
        "organizational_unit",
        Test::Pattern(Subject::Claim("organizational_unit".into()), globs),
    )]);
    assert!(enters(&rules, &of("organizational_unit", "MEF/DGFIP/SSI")));
    assert!(!enters(&rules, &of("organizational_unit", "MEF/DGFIPX/SSI")) && !enters(&rules, &agent(&[])));
}

#[test]
fn a_request_counts_by_address_method_path_and_time() {
    let networks: Networks = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
    let inside = allow(vec![condition("client_address", Test::ClientAddress(networks.clone()))]);
    let outside = allow(vec![not(vec![condition("client_address", Test::ClientAddress(networks))])]);
    let from = |client: Option<&str>| Call { client: client.map(|text| text.parse().unwrap()), ..Call::default() };
    for (client, is_inside, is_outside) in [
        (Some("10.1.2.3"), true, false),
        (Some("::ffff:10.1.2.3"), true, false),
        (Some("11.0.0.1"), false, true),
        (Some("2001:db8::1"), false, true),
        (None, false, false),
    ] {
        assert_eq!(from(client).enters(&inside, &agent(&[])), is_inside, "{client:?}");
        assert_eq!(from(client).enters(&outside, &agent(&[])), is_outside, "{client:?}");
    }
    let reads = allow(vec![condition("method", Test::Method([Method::GET].into()))]);
    for (method, expected) in [(Method::GET, true), (Method::HEAD, false), (Method::POST, false)] {
        assert_eq!(Call { method, ..Call::default() }.enters(&reads, &agent(&[])), expected);
    }
    let mut paths = PathMap::default();
    paths.insert(&"/app".parse().unwrap(), ());
    let under = allow(vec![condition("path", Test::Path(paths.clone()))]);
    let elsewhere = allow(vec![not(vec![condition("path", Test::Path(paths))])]);
    for (path, is_under, is_elsewhere) in
        [("/app/x", true, false), ("/apple", false, true), ("/APP", false, true), ("/app/../x", false, false)]
    {
        let call = Call { path, ..Call::default() };
        assert_eq!((call.enters(&under, &agent(&[])), call.enters(&elsewhere, &agent(&[]))), (is_under, is_elsewhere));
    }
    assert!(under.read_path() && elsewhere.read_path() && !reads.read_path());
    let office = Window { hours: vec!["08:00-18:00".parse().unwrap()], ..Window::default() };
    let office = allow(vec![condition("time", Test::Time(vec![office]))]);
    for (now, expected) in [("2026-01-05T12:00", true), ("2026-01-05T18:00", false)] {
        assert_eq!(Call { now, ..Call::default() }.enters(&office, &agent(&[])), expected, "{now}");
    }
}

#[test]
fn deny_wins_and_names_its_block() {
    let rules = Rules {
        deny: vec![block(7, vec![claim("siret", &["1"])], Some("non"))],
        allow: vec![block(3, vec![claim("siret", &["1"])], None)],
        ..Rules::default()
    };
    Call::default().facts(&of("siret", "1"), |facts| {
        let refusal = rules.verdict(facts).unwrap_err();
        assert_eq!(refusal.reasons(), ["non"]);
        assert_eq!(refusal.blocks().next().unwrap().origin.to_string(), "portillon.toml:7");
        assert_eq!((refusal.blocks().count(), refusal.conditions(facts)), (1, vec!["siret"]));
    });
}

#[test]
fn each_reason_is_told_once_and_the_conditions_that_held_are_not_blamed() {
    let rules = Rules {
        deny: vec![],
        allow: vec![
            block(1, vec![claim("siret", &["1"]), claim("acr", &["eidas2"])], Some("niveau")),
            block(5, vec![claim("siret", &["2"])], Some("niveau")),
        ],
        ..Rules::default()
    };
    Call::default().facts(&of("siret", "1"), |facts| {
        let refusal = rules.verdict(facts).unwrap_err();
        assert_eq!((refusal.reasons(), refusal.conditions(facts)), (vec!["niveau"], vec!["acr", "siret"]));
    });
    assert!(enters(&rules, &of("siret", "2")));
}

#[test]
fn what_is_examined_says_what_was_found_and_what_may_be_wrong() {
    let hint = |wanted: Condition, agent: &Claims| {
        let rules = allow(vec![wanted]);
        Call::default().facts(agent, |facts| {
            let examined = rules.examine(facts);
            assert_eq!((examined[0].kind, examined[0].holds), (Kind::Allow, false));
            let finding = &examined[0].findings[0];
            (finding.found.clone(), finding.hint.clone().unwrap_or_default())
        })
    };
    let (found, capitals) = hint(claim("email", &["paul@gouv.fr"]), &of("email", "Paul@gouv.fr"));
    assert_eq!(found.as_deref(), Some("\"Paul@gouv.fr\""));
    assert!(capitals.contains("differs from \"paul@gouv.fr\" in capitals only"), "{capitals}");
    let (_, spaces) = hint(claim("siret", &["130 025"]), &of("siret", "130025"));
    assert!(spaces.contains("in spaces only"), "{spaces}");
    let flag = agent(&[("custom", ClaimValue::Json("{\"a\":true}".into()))]);
    let (found, other_type) = hint(custom("a", &[text("true")]), &flag);
    assert_eq!(found.as_deref(), Some("true"));
    assert!(other_type.contains("write it without quotes"), "{other_type}");
    let (found, none) = hint(claim("siret", &["1"]), &agent(&[]));
    assert_eq!((found, none.as_str()), (None, ""));
    let mut domains = Domains::default();
    domains.insert(".gouv.fr").unwrap();
    let (_, bare) = hint(condition("email_domain", Test::EmailDomain(domains)), &of("email", "a@gouv.fr"));
    assert!(bare.contains("what is below it"), "{bare}");
}

proptest::proptest! {
    #[test]
    fn what_is_examined_and_the_verdict_agree(
        deny in proptest::collection::vec((0..4_u8, 0..3_u8, proptest::bool::ANY), 0..3),
        allow in proptest::collection::vec((0..4_u8, 0..3_u8, proptest::bool::ANY), 0..3),
        claims in proptest::collection::vec(proptest::option::of(0..3_u8), 4),
    ) {
        let one = |(name, value, negated): &(u8, u8, bool)| {
            let condition = claim(&format!("c{name}"), &[&value.to_string()]);
            block(1, vec![if *negated { not(vec![condition]) } else { condition }], None)
        };
        let rules = Rules { deny: deny.iter().map(one).collect(), allow: allow.iter().map(one).collect(), ..Rules::default() };
        let mut agent = Claims::new("s");
        for (name, value) in claims.iter().enumerate() {
            if let Some(value) = value {
                agent.insert(format!("c{name}"), ClaimValue::Text(value.to_string()));
            }
        }
        Call::default().facts(&agent, |facts| {
            let examined = rules.examine(facts);
            let any = |kind| examined.iter().any(|block| block.kind == kind && block.holds);
            let agree = !any(Kind::Deny) && (rules.allow.is_empty() || any(Kind::Allow));
            proptest::prop_assert_eq!(rules.verdict(facts).is_ok(), agree);
            // A model of the rules, in the words of the manual.
            let holds = |(name, value, negated): &(u8, u8, bool)| {
                claims[usize::from(*name)].is_some_and(|found| (found == *value) != *negated)
            };
            let enters = !deny.iter().any(holds) && (allow.is_empty() || allow.iter().any(holds));
            proptest::prop_assert_eq!(rules.verdict(facts).is_ok(), enters);
            Ok(())
        })?;
    }
}
