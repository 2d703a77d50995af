//! What every service relies on, on each database.

use needledrop_database::testing::on_each;
use needledrop_database::{Database, Each, Error, Gathered, Insert, Kind, Migration, Row, Script, Sql, Value};

const TABLES: &[Migration] = &[
    Migration {
        version: 1,
        name: "notes",
        script: Script::Both(
            "CREATE TABLE notes (id {key} NOT NULL, n BIGINT, x DOUBLE PRECISION, b {bytes}, PRIMARY KEY (id)) {clustered};",
        ),
    },
    Migration {
        version: 2,
        name: "a word",
        script: Script::Both("ALTER TABLE notes ADD COLUMN word TEXT; UPDATE notes SET word = 'old';"),
    },
];

async fn migrated(database: &Database) {
    database.migrate("notes", TABLES).await.unwrap();
}

async fn count(database: &Database) -> i64 {
    first(database.row("SELECT count(*) FROM notes", vec![]).await.unwrap())
}

fn first(row: Option<Row>) -> i64 {
    row.expect("a row").get(0).unwrap()
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let texts = ["", "O'Brien; DROP TABLE notes; --", "\"quoted\"", "日本語 🎵 ñ", "a\\b%_$1", "line\nbreak"];
        for (n, text) in (0_i64..).zip(texts) {
            let values = vec![text.into(), n.into(), 0.1.into(), vec![0_u8, 255].into(), Some("w").into()];
            database
                .execute("INSERT INTO notes (id, n, x, b, word) VALUES ($1, $2, $3, $4, $5)", values)
                .await
                .unwrap();
        }
        let rows = database.rows("SELECT id, n, x, b, word FROM notes ORDER BY n", vec![]).await.unwrap();
        let back: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
        assert_eq!(back, texts);
        assert_eq!(rows[1].get::<u32>(1).unwrap(), 1);
        assert_eq!(rows[1].get::<f64>(2).unwrap(), 0.1);
        assert_eq!(rows[1].get::<Vec<u8>>(3).unwrap(), [0, 255]);
        assert_eq!(rows[1].get::<Option<String>>(4).unwrap().as_deref(), Some("w"));
        assert!(matches!(rows[1].get::<i64>(0), Err(Error::Column { index: 0, .. })));
    })
    .await;
}

#[tokio::test]
async fn nulls_of_each_type_are_nulls_and_numbers_out_of_range_are_errors() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let nulls = vec!["a".into(), None::<i64>.into(), None::<f64>.into(), None::<Vec<u8>>.into()];
        database.execute("INSERT INTO notes (id, n, x, b) VALUES ($1, $2, $3, $4)", nulls).await.unwrap();
        let row = database.row("SELECT n, x, b, word, -1 + 0 * n FROM notes", vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<Option<u64>>(0).unwrap(), None);
        assert_eq!(row.get::<Option<f64>>(1).unwrap(), None);
        assert_eq!(row.get::<Option<Vec<u8>>>(2).unwrap(), None);
        assert_eq!(row.get::<Option<String>>(3).unwrap(), None);
        database.execute("UPDATE notes SET n = $1", vec![(-1_i64).into()]).await.unwrap();
        let row = database.row("SELECT n FROM notes", vec![]).await.unwrap().unwrap();
        assert!(row.get::<u64>(0).is_err());
    })
    .await;
}

#[tokio::test]
async fn a_point_is_planned_once_and_finds_what_others_find() {
    on_each(|database, _| async move {
        migrated(&database).await;
        for (n, id) in (0_i64..).zip(["a", "b", "c"]) {
            database.execute("INSERT INTO notes (id, n) VALUES ($1, $2)", vec![id.into(), n.into()]).await.unwrap();
        }
        let sql = "SELECT n FROM notes WHERE id = $1";
        for (n, id) in (0_i64..).zip(["a", "b", "c", "d"]) {
            let numbers = |rows: Vec<Row>| rows.iter().map(|row| row.get(0).unwrap()).collect::<Vec<i64>>();
            let point = numbers(database.point(sql, vec![id.into()]).await.unwrap());
            assert_eq!(point, numbers(database.rows(sql, vec![id.into()]).await.unwrap()));
            assert_eq!(point, if id == "d" { vec![] } else { vec![n] });
        }
        if database.kind() == Kind::Postgres {
            let planned = "SELECT current_setting('plan_cache_mode')";
            let mode: String = database.point(planned, vec![]).await.unwrap()[0].get(0).unwrap();
            assert_eq!(mode, "force_generic_plan");
            let mode: String = database.rows(planned, vec![]).await.unwrap()[0].get(0).unwrap();
            assert_eq!(mode, "force_custom_plan");
        }
    })
    .await;
}

#[tokio::test]
async fn a_point_goes_by_the_key_even_if_its_table_was_empty_when_it_was_planned() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let asked = "WITH asked (id) AS (VALUES ('a'),('b'),('c'),('d'),('e'),('f'),('g'),('h'))";
        let explain = match database.kind() {
            Kind::Postgres => "EXPLAIN",
            Kind::Sqlite => "EXPLAIN QUERY PLAN",
        };
        let sql = format!("{explain} {asked} SELECT m.n FROM asked a CROSS JOIN notes m WHERE m.id = a.id");
        let rows = database.point(Sql::assembled(sql), vec![]).await.unwrap();
        // Where the plan's lines are.
        let index = if database.kind() == Kind::Postgres { 0 } else { 3 };
        let plan: Vec<String> = rows.iter().map(|row| row.get(index).unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index Scan") || plan.contains("SEARCH m USING PRIMARY KEY"), "{plan}");
    })
    .await;
}

#[tokio::test]
async fn who_asks_at_the_same_time_shares_a_statement_and_gets_his_own_rows() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let values = (0..400_i64).flat_map(|n| [format!("{n:03}").into(), n.into()]).collect();
        let insert = Insert { head: "INSERT INTO notes (id, n)", width: 2, tail: "" };
        database_insert(&database, insert, values).await;
        // Two rows for each key but the last, none where there is none; and how many keys the statement had.
        let sql = "SELECT m.n, (SELECT count(*) FROM asked), a.n FROM asked a CROSS JOIN notes m \
                   WHERE m.id >= a.id AND m.id < a.until ORDER BY m.n";
        let gathered = database.gathered(Each { key: &["id", "until"], sql }, vec![]);
        let ask = |n: i64| {
            let gathered = gathered.clone();
            tokio::spawn(async move {
                let (from, until) = (format!("{n:03}"), format!("{:03}", n + 2));
                let rows = gathered.rows(vec![from.into(), until.into()]).await.unwrap();
                let read = |row: &Row| (row.get::<i64>(0).unwrap(), row.get::<u64>(1).unwrap());
                rows.iter().map(read).collect::<Vec<_>>()
            })
        };
        let (mut statements, mut largest) = (0.0, 0);
        let asked: Vec<_> = (0..450).map(|n| (n, ask(n))).collect();
        for (n, rows) in asked {
            let rows = rows.await.unwrap();
            let own: Vec<i64> = rows.iter().map(|row| row.0).collect();
            assert_eq!(own, (n..(n + 2).min(400)).collect::<Vec<_>>());
            if let Some((_, keys)) = rows.first() {
                statements += 1.0 / *keys as f64;
                largest = largest.max(*keys);
            }
        }
        assert!(statements < 100.0, "{statements} statements for 400 keys");
        assert_eq!(largest, 32);
        // Somebody alone waits for nobody.
        assert_eq!(ask(6).await.unwrap(), [(6, 1), (7, 1)]);
    })
    .await;
}

#[tokio::test]
async fn all_who_share_a_statement_learn_that_it_failed_and_the_next_goes_well() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let sql = "SELECT m.n, a.n FROM asked a CROSS JOIN notes m WHERE m.id = a.id";
        let gathered = database.gathered(Each { key: &["id"], sql }, vec![]);
        let ask = |gathered: &Gathered| {
            let gathered = gathered.clone();
            tokio::spawn(async move { gathered.rows(vec!["a".into()]).await.map(|rows| rows.len()) })
        };
        database.execute("ALTER TABLE notes RENAME TO others", vec![]).await.unwrap();
        let asked: Vec<_> = (0..50).map(|_| ask(&gathered)).collect();
        for one in asked {
            let error = one.await.unwrap().unwrap_err();
            assert!(!error.is_transient() && error.to_string().contains("notes"), "{error}");
        }
        database.execute("ALTER TABLE others RENAME TO notes", vec![]).await.unwrap();
        assert_eq!(ask(&gathered).await.unwrap().unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn who_leaves_takes_nothing_from_those_who_stay() {
    on_each(|database, _| async move {
        migrated(&database).await;
        database.execute("INSERT INTO notes (id, n) VALUES ($1, $2)", vec!["a".into(), 7.into()]).await.unwrap();
        let sql = "SELECT m.n, a.n FROM asked a CROSS JOIN notes m WHERE m.id = a.id";
        let gathered = database.gathered(Each { key: &["id"], sql }, vec![]);
        let stays: Vec<_> = (0..200)
            .map(|n| {
                let gathered = gathered.clone();
                let asked =
                    tokio::spawn(
                        async move { gathered.rows(vec!["a".into()]).await.unwrap()[0].get::<i64>(0).unwrap() },
                    );
                if n % 3 == 0 {
                    asked.abort();
                    None
                } else {
                    Some(asked)
                }
            })
            .collect();
        for one in stays.into_iter().flatten() {
            assert_eq!(one.await.unwrap(), 7);
        }
    })
    .await;
}

#[tokio::test]
async fn keys_compare_byte_by_byte() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let mut keys = ["b", "B", "a", "ä", "~", "aa", "é", "Z", "a b", "a-b"].map(String::from);
        let values = keys.iter().map(Value::from).collect();
        let insert = Insert { head: "INSERT INTO notes (id)", width: 1, tail: "" };
        database_insert(&database, insert, values).await;
        keys.sort();
        let rows = database.rows("SELECT id FROM notes ORDER BY id", vec![]).await.unwrap();
        let ordered: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
        assert_eq!(ordered, keys);
    })
    .await;
}

async fn database_insert(database: &Database, insert: Insert, values: Vec<Value>) {
    let mut transaction = database.transaction().await.unwrap();
    transaction.insert(insert, values).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn many_rows_go_in_are_found_by_key_and_go_out() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let insert = Insert {
            head: "INSERT INTO notes (id, n)",
            width: 2,
            tail: "ON CONFLICT (id) DO UPDATE SET n = excluded.n",
        };
        let rows = |plus: i64| (0..1_337_i64).flat_map(|n| [Value::from(format!("k{n}")), (n + plus).into()]).collect();
        database_insert(&database, insert, rows(0)).await;
        database_insert(&database, insert, rows(5)).await;
        assert_eq!(count(&database).await, 1_337);

        let mut transaction = database.transaction().await.unwrap();
        let keys: Vec<Value> = (0..700_i64).flat_map(|n| [Value::from(format!("k{n}")), (n + 5).into()]).collect();
        let found = transaction.rows_in("SELECT n FROM notes WHERE (id, n) IN", 2, keys.clone(), "").await.unwrap();
        assert_eq!(found.len(), 700);
        assert_eq!(transaction.execute_in("DELETE FROM notes WHERE (id, n) IN", 2, keys).await.unwrap(), 700);
        transaction.commit().await.unwrap();
        assert_eq!(count(&database).await, 637);
    })
    .await;
}

#[tokio::test]
async fn keys_of_several_columns_do_not_walk_through_the_table() {
    on_each(|database, _| async move {
        migrated(&database).await;
        database.execute("CREATE INDEX notes_by ON notes (id, n)", vec![]).await.unwrap();
        let insert = Insert { head: "INSERT INTO notes (id, n)", width: 2, tail: "" };
        let rows = (0..20_000_i64).flat_map(|n| [Value::from(format!("k{n}")), n.into()]).collect();
        database_insert(&database, insert, rows).await;
        database.analyze().await.unwrap();
        let keys: Vec<Value> = (0..2_000_i64).flat_map(|n| [Value::from(format!("k{n}")), n.into()]).collect();
        let mut transaction = database.transaction().await.unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(transaction.execute_in("DELETE FROM notes WHERE (id, n) IN", 2, keys).await.unwrap(), 2_000);
        // Walking takes several seconds here, finding some hundredths of one.
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
        transaction.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_not_committed_never_was() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let mut transaction = database.transaction().await.unwrap();
        transaction.execute("INSERT INTO notes (id) VALUES ($1)", vec!["a".into()]).await.unwrap();
        drop(transaction);
        assert_eq!(count(&database).await, 0);
        database.execute("INSERT INTO notes (id) VALUES ($1)", vec!["a".into()]).await.unwrap();
        let twice = database.execute("INSERT INTO notes (id) VALUES ($1)", vec!["a".into()]).await.unwrap_err();
        assert!(twice.is_unique_violation() && !twice.is_transient(), "{twice}");
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_stays_at_its_moment_and_cannot_write() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let mut snapshot = database.snapshot().await.unwrap();
        assert_eq!(first(snapshot.row("SELECT count(*) FROM notes", vec![]).await.unwrap()), 0);
        database.execute("INSERT INTO notes (id) VALUES ($1)", vec!["a".into()]).await.unwrap();
        assert_eq!(first(snapshot.row("SELECT count(*) FROM notes", vec![]).await.unwrap()), 0);
        assert_eq!(count(&database).await, 1);
        assert!(snapshot.execute("DELETE FROM notes", vec![]).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn exclusive_sections_do_not_lose_updates() {
    on_each(|database, _| async move {
        migrated(&database).await;
        database.execute("INSERT INTO notes (id, n) VALUES ('a', 0)", vec![]).await.unwrap();
        let tasks = (0..8).map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let mut transaction = database.transaction().await.unwrap();
                transaction.exclusive("count").await.unwrap();
                let n = first(transaction.row("SELECT n FROM notes", vec![]).await.unwrap());
                tokio::task::yield_now().await;
                transaction.execute("UPDATE notes SET n = $1", vec![(n + 1).into()]).await.unwrap();
                transaction.commit().await.unwrap();
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(first(database.row("SELECT n FROM notes", vec![]).await.unwrap()), 8);
    })
    .await;
}

#[tokio::test]
async fn migrations_go_step_by_step_and_keep_the_data() {
    on_each(|database, place| async move {
        let first = database.migrate("notes", &TABLES[..1]).await.unwrap();
        assert_eq!((first.from, first.to), (0, 1));
        database.execute("INSERT INTO notes (id) VALUES ('kept')", vec![]).await.unwrap();
        let other = Database::open(&place).await.unwrap();
        let (one, two) = tokio::join!(database.migrate("notes", TABLES), other.migrate("notes", TABLES));
        let mut froms = [one.unwrap().from, two.unwrap().from];
        froms.sort();
        assert_eq!(froms, [1, 2], "one applied the step, the other waited and found it");
        let row = database.row("SELECT id, word FROM notes", vec![]).await.unwrap().unwrap();
        assert_eq!((row.get::<String>(0).unwrap(), row.get::<String>(1).unwrap()), ("kept".into(), "old".into()));
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_newer_or_edited_schema_is_refused_with_what_to_do() {
    on_each(|database, _| async move {
        migrated(&database).await;
        let newer = database.migrate("notes", &TABLES[..1]).await.unwrap_err();
        assert!(matches!(newer, Error::Newer { found: 2, known: 1, .. }));
        assert!(newer.to_string().contains("run the newer needledrop"), "{newer}");
        let mut edited = TABLES.to_vec();
        edited[0].script = Script::Both("CREATE TABLE notes (id TEXT)");
        assert!(matches!(database.migrate("notes", &edited).await, Err(Error::Edited { version: 1, .. })));
        // Another service's versions are its own.
        let other = [Migration { version: 1, name: "other", script: Script::Both("CREATE TABLE other (id BIGINT)") }];
        assert_eq!(database.migrate("other", &other).await.unwrap().to, 1);
    })
    .await;
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing() {
    on_each(|database, _| async move {
        let mut broken = TABLES.to_vec();
        broken[1].script = Script::Both("CREATE TABLE half (id BIGINT); INSERT INTO nowhere VALUES (1);");
        let failed = database.migrate("notes", &broken).await.unwrap_err();
        assert!(matches!(failed, Error::Migration { version: 2, .. }), "{failed}");
        migrated(&database).await;
        assert_eq!(count(&database).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_place_that_is_none_is_named() {
    let error = Database::open("/nonexistent/folder/c.db").await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder/c.db"), "{error}");
}
