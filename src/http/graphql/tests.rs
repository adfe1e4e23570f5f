//! Requests to a small schema.

use futures::FutureExt;
use serde_json::json;

use super::schema::Schema;
use super::*;

const SCHEMA: &str = "
    # Of the tests.
    scalar DateTime
    enum Color { Red Green }
    input Where { color: Color, ids: [ID!] }
    type Query { cat(id: ID!, where: Where): Cat cats(color: Color, limit: Int): [Cat] fails: Cat strict: Strict }
    type Cat { id: ID name: String born: DateTime mate: Cat tags: [String] }
    type Strict { must: String! }
    type Mutation { rename(id: ID!, name: String!): Cat }";

struct Root;

impl Object for Root {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move {
            Ok(match asked.name {
                "cat" => {
                    let told = format!("{} {}", Value::Object(asked.arguments.clone()), asked.selected.join(","));
                    Resolved::Json(json!({ "id": asked.required("id"), "name": told, "mate": { "id": "m" } }))
                }
                "cats" => Resolved::Json(json!([{ "name": asked.text("color") }, null, { "tags": ["a", null] }])),
                "rename" => Resolved::Json(json!({ "name": asked.required("name") })),
                "strict" => Resolved::Json(json!({})),
                _ => return Err(Error::new("it failed")),
            })
        }
        .boxed()
    }
}

async fn ask(query: &str, variables: Value) -> Value {
    let schema = Schema::parse(SCHEMA).unwrap();
    let Value::Object(variables) = variables else { panic!("{variables}") };
    let request = Request { query: query.to_owned(), variables, operation: None };
    execute(&schema, &Root, &Root, &request).await
}

#[tokio::test]
async fn fields_are_selected_named_and_skipped() {
    let query = "query ($yes: Boolean!, $c: Color) {
        a: cat(id: 7) { __typename id ...Rest mate { id } mate { name } name @skip(if: $yes) }
        cats(color: $c) { name @include(if: $yes) ... on Cat { tags } }
    } fragment Rest on Cat { born }";
    let found = ask(query, json!({ "yes": true, "c": "Green" })).await;
    let cats = json!([{ "name": "Green", "tags": null }, null, { "name": null, "tags": ["a", null] }]);
    let cat = json!({ "__typename": "Cat", "id": "7", "born": null, "mate": { "id": "m", "name": null } });
    assert_eq!(found, json!({ "data": { "a": cat, "cats": cats } }));
    let found = ask("mutation M { rename(id: \"1\", name: \"x\") { name } }", json!({})).await;
    assert_eq!(found, json!({ "data": { "rename": { "name": "x" } } }));
}

#[tokio::test]
async fn arguments_are_those_of_the_schema() {
    for (query, variables, told) in [
        ("{ cat(id: 1) { name } }", json!({}), r#"{"id":"1"} name"#),
        ("{ cat(id: 1, where: null) { name id } }", json!({}), r#"{"id":"1","where":null} name,id"#),
        (
            "{ cat(id: 1, where: { color: Red, ids: 2 }) { name } }",
            json!({}),
            r#"{"id":"1","where":{"color":"Red","ids":["2"]}} name"#,
        ),
        (
            "query ($id: ID = \"d\", $w: Where, $no: Where) { cat(id: $id, where: $w) { name } }",
            json!({ "w": { "color": "Green" } }),
            r#"{"id":"d","where":{"color":"Green"}} name"#,
        ),
        ("query ($w: Where) { cat(id: 1, where: $w) { name } }", json!({}), r#"{"id":"1"} name"#),
        (
            "query ($i: ID!) { cat(id: 1, where: { ids: [$i] }) { name } }",
            json!({ "i": "z" }),
            r#"{"id":"1","where":{"ids":["z"]}} name"#,
        ),
    ] {
        assert_eq!(ask(query, variables).await["data"]["cat"]["name"], told, "{query}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_is_done() {
    let deep = format!("{{ cat(id: 1) {{ mate{}", " { mate".repeat(30));
    let wide = format!("{{ {} }}", "fails { id } ".repeat(600));
    let bomb = "{ cat(id: 1) { ...A } } fragment A on Cat { ...B ...B ...B ...B } fragment B on Cat { ...C ...C ...C ...C } \
                fragment C on Cat { ...D ...D ...D ...D } fragment D on Cat { ...E ...E ...E ...E } fragment E on Cat { id id id id }";
    for (query, problem) in [
        ("", "the document has no operation"),
        ("{", "unexpected end of the document; expected a name"),
        ("{ dog { id } }", "there is no field \"dog\" of type \"Query\""),
        ("{ cats }", "expected a selection of its fields"),
        ("{ cats { name { x } } }", "which has no fields"),
        ("{ cat { id } }", "id is missing; expected ID!"),
        ("{ cat(id: null) { id } }", "id is null; expected ID!"),
        ("{ cat(id: 1, x: 2) { id } }", "has no argument \"x\""),
        ("{ cats(color: \"Red\") { id } }", "color is \"Red\"; expected one of Red, Green"),
        ("{ cats(color: Blue) { id } }", "color is \"Blue\"; expected one of Red, Green"),
        ("{ cats(limit: 3000000000) { id } }", "limit is 3000000000; expected Int"),
        ("{ cats(limit: $n) { id } }", "variable $n is not declared"),
        ("query ($n: Int!) { cats(limit: $n) { id } }", "variable $n of type Int! is missing"),
        ("query ($n: Cat) { cats { id } }", "expected an input type"),
        ("{ cats { ...F } }", "there is no fragment \"F\""),
        ("{ cats { ...F } } fragment F on Cat { ...F }", "nested more than 20 deep"),
        ("{ cats { ...F } } fragment F on Query { cats { id } }", "cannot be spread in \"Cat\""),
        ("{ cats { a: id a: name } }", "\"a\" stands for two different fields"),
        ("{ cats @defer { id } }", "there is no directive @defer"),
        ("subscription { cats { id } }", "subscriptions are not done"),
        ("{ cats { id } } { cats { id } }", "do not have names of their own"),
        ("query A { cats { id } } query B { cats { id } }", "expected operationName"),
        (&deep, "nested more than 20 deep"),
        (&wide, "selects more than 1000 fields"),
        (bomb, "selects more than 1000 fields"),
        (&" ".repeat(MAX_BYTES + 1), "expected at most 65536"),
    ] {
        let found = ask(query, json!({})).await;
        let message = found["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(problem) && found.get("data").is_none(), "{query}: {found}");
    }
}

#[tokio::test]
async fn failures_are_told_beside_what_succeeded() {
    let found = ask("{ fails { id } cat(id: 1) { id } }", json!({})).await;
    let error = json!({ "message": "it failed", "path": ["fails"] });
    assert_eq!(found, json!({ "data": { "fails": null, "cat": { "id": "1" } }, "errors": [error] }));
    assert_eq!(ask("{ strict { must } }", json!({})).await["data"], json!({ "strict": null }));
}

#[tokio::test]
async fn schemas_tell_of_themselves() {
    let query = "{ __type(name: \"Color\") { kind enumValues { name } fields { name } } no: __type(name: \"No\") { name }
        __schema { queryType { name } mutationType { name } subscriptionType { name } directives { name args { name type { kind ofType { name } } } }
        types { name kind fields { name args { name type { kind name ofType { name } } } } inputFields { name } } } }";
    let found = ask(query, json!({})).await;
    let data = &found["data"];
    assert_eq!(
        data["__type"],
        json!({ "kind": "ENUM", "enumValues": [{ "name": "Red" }, { "name": "Green" }], "fields": null })
    );
    assert_eq!((&data["no"], &found["errors"]), (&Value::Null, &Value::Null));
    let types = data["__schema"]["types"].as_array().unwrap();
    let named = |name: &str| types.iter().find(|ty| ty["name"] == name).unwrap();
    assert_eq!(named("Where")["inputFields"], json!([{ "name": "color" }, { "name": "ids" }]));
    let id = json!({ "name": "id", "type": { "kind": "NON_NULL", "name": null, "ofType": { "name": "ID" } } });
    assert_eq!(named("Mutation")["fields"][0]["args"][0], id);
    assert_eq!(
        data["__schema"]["directives"][0]["args"][0]["type"],
        json!({ "kind": "NON_NULL", "ofType": { "name": "Boolean" } })
    );
}

#[test]
fn schemas_name_only_what_is_there() {
    for (text, problem) in [
        ("type Query { a: B }", "there is no type \"B\""),
        ("type A { a: Int }", "there is no type \"Query\""),
        ("type Query { a: Int } type Query { a: Int }", "there are two types \"Query\""),
        ("union U = A", "\"union\" is no kind of type"),
    ] {
        assert_eq!(Schema::parse(text).unwrap_err().message, problem);
    }
}
