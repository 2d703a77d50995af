//! `needledrop purge`: makes objects gone at an edge and at all that it knows.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use http::{HeaderValue, header};
use needledrop_core::purge::Target;
use needledrop_edge::{
    admin::{Token, query::encode},
    cluster::base,
};
use needledrop_http::{Client, ClientConfig, Roots};
use serde_json::Value;

use crate::{admin, serve};

/// How long an answer may take: the edge itself waits less than a second for its neighbours.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The longest answer. Unit: bytes; 256 neighbours say about 200 each.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Arguments of `needledrop purge`.
#[derive(clap::Args)]
#[command(after_help = "Exit code: 0 when every edge was reached, 1 when some will catch up later.")]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,

    /// The admin port of one edge; it tells the others
    #[arg(long, env = "NEEDLEDROP_ADMIN_URL", value_name = "URL", default_value = "http://127.0.0.1:4600")]
    admin: String,

    /// The file of its token [default: admin.token in the data folder]
    #[arg(long, env = "NEEDLEDROP_ADMIN_TOKEN", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Authorities to trust, PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Print the edge's own answer
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// One object, such as /tracks/ID/REV/160.ogg
    #[arg(long)]
    path: Option<String>,
    /// Everything below a folder, such as /tracks/ID/; "/" is everything
    #[arg(long)]
    prefix: Option<String>,
    /// Everything that the origin gave this word in Cache-Tag, such as an album
    #[arg(long)]
    tag: Option<String>,
}

impl TargetArgs {
    fn parse(&self) -> Result<Target, String> {
        let named = [("path", &self.path), ("prefix", &self.prefix), ("tag", &self.tag)];
        let (name, value) = named
            .iter()
            .find_map(|(name, value)| value.as_deref().map(|value| (*name, value)))
            .ok_or("say what to purge: --path, --prefix or --tag")?;
        Target::parse(name, value).expect("one of the three names").map_err(|error| format!("--{error}"))
    }
}

/// Runs the subcommand.
pub fn run(args: &Args, data: &Path) -> Result<ExitCode, String> {
    let target = args.target.parse()?;
    let admin = base(&args.admin).map_err(|error| error.to_string().replacen("peer", "--admin", 1))?;
    let token_file = args.token_file.clone().unwrap_or_else(|| admin::token_path(data));
    let token =
        Token::load(&token_file).map_err(|error| format!("{error}; name the edge's own with --token-file FILE"))?;
    let roots = args.ca.clone().map_or(Roots::System, Roots::Pem);
    let config =
        ClientConfig { roots, head_timeout: ANSWER_WAIT, body_timeout: ANSWER_WAIT, ..ClientConfig::default() };
    let client = Client::new(&config).map_err(|error| error.to_string())?;
    serve::block_on(async move {
        let (is_success, answer) = ask(&client, &admin, &target, &token).await?;
        let is_complete = answer["complete"] == true;
        match (args.json, is_success) {
            (true, _) => println!("{answer}"),
            (false, true) => tell(&answer),
            (false, false) => return Err(complaint(&answer)),
        }
        Ok(if is_success && is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn ask(client: &Client, admin: &str, target: &Target, token: &Token) -> Result<(bool, Value), String> {
    let url = format!("{admin}/purge?{}={}", target.name(), encode(target.value()));
    let mut field = HeaderValue::from_str(&token.to_field()).expect("a token is visible ASCII");
    field.set_sensitive(true);
    let request = http::Request::post(url).header(header::AUTHORIZATION, field).body(());
    let request = request.map_err(|error| format!("--admin: {error}"))?;
    let answered = client.send(request).await.map_err(|error| format!("{admin}: {error}"))?;
    let (parts, mut body) = answered.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk.map_err(|error| format!("{admin}: {error}"))?);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(format!("{admin}: an answer beyond all bounds"));
        }
    }
    let answer = serde_json::from_slice(&bytes).map_err(|_| format!("{admin}: this is not an admin port"))?;
    Ok((parts.status.is_success(), answer))
}

fn tell(answer: &Value) {
    let count = |edge: &Value, what: &str| edge[what].as_u64().unwrap_or(0);
    let line = |edge: &Value| {
        println!(
            "{:<24} {} objects, {} blocks gone",
            edge["edge"].as_str().unwrap_or("?"),
            count(edge, "objects"),
            count(edge, "blocks")
        );
    };
    println!("purge {}, acknowledged after {} ms", answer["id"].as_str().unwrap_or("?"), count(answer, "took_ms"));
    line(answer);
    answer["reached"].as_array().into_iter().flatten().for_each(line);
    for missed in answer["missed"].as_array().into_iter().flatten() {
        let word = |name: &str| missed[name].as_str().unwrap_or("?").to_owned();
        println!("{:<24} NOT reached ({}); it catches up when it is back", word("peer"), word("why"));
    }
}

fn complaint(answer: &Value) -> String {
    let word = |name: &str| answer[name].as_str();
    let title = word("title").unwrap_or("the edge refused");
    word("detail").map_or_else(|| title.to_owned(), |detail| format!("{title}: {detail}"))
}
