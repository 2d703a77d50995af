//! What a call is, as a value: method, path, who may make it, what it takes and what it gives.
//!
//! The router ([`super::answer`]) dispatches from these values and refuses by them, and the OpenAPI document
//! ([`super::openapi`]) is written from them: what is documented is what is done. [`super::routes`] has the table.

use std::future::Future;
use std::pin::Pin;

use http::Method;
use needledrop_core::Problem;
use needledrop_playback::{Caller, Scope};

use super::Call;
use super::param::Param;
use crate::answer::Reply;
use crate::limits::Class;
use crate::query::Params;

/// An answer on its way.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;
/// What answers a call that anybody may make.
pub type Open = for<'a> fn(&'a Call<'a>) -> Pending<'a>;
/// What answers a call of somebody who was let in.
pub type Signed = for<'a> fn(&'a Call<'a>, &'a Caller) -> Pending<'a>;

/// Who may make a call, and what answers it.
#[derive(Clone, Copy)]
pub enum Act {
    /// Without a credential.
    Anybody(Open),
    /// With any credential.
    SignedIn(Signed),
    /// With a credential that allows this.
    May(Scope, Signed),
}

/// What a call that went well gives.
#[derive(Clone, Copy)]
pub enum Gives {
    /// 200 and JSON of this schema.
    Json(&'static str),
    /// The same with a tag: it may be kept, and asked about again (304).
    Entity(&'static str),
    /// 201 and JSON of this schema.
    Created(&'static str),
    /// 204.
    Nothing,
}

/// The methods that calls have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// HEAD as well.
    Get,
    /// Add, or tell.
    Post,
    /// Set.
    Put,
    /// Take away.
    Delete,
}

impl Verb {
    /// As HTTP writes it.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
        }
    }

    /// Whether a request of this method is one of this.
    pub fn is_of(self, method: &Method) -> bool {
        method.as_str() == self.name() || (self == Verb::Get && *method == Method::HEAD)
    }
}

/// One call of the API.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its method.
    pub verb: Verb,
    /// The path, with variables in braces: `/v1/albums/{id}/tracks`.
    pub template: &'static str,
    /// Its name in the document and in generated clients (`operationId`).
    pub name: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Whatever else its caller should know.
    pub about: &'static str,
    /// Who may make it, and what answers it.
    pub act: Act,
    /// How much work it is.
    pub class: Class,
    /// What may stand behind the question mark: groups of parameters.
    pub params: &'static [&'static [Param]],
    /// The schema of the JSON that it takes, if it takes any.
    pub body: Option<&'static str>,
    /// What it gives.
    pub gives: Gives,
    /// Statuses of refusals that no other part of the route implies.
    pub refuses: &'static [u16],
}

const fn route(verb: Verb, template: &'static str, name: &'static str, summary: &'static str, act: Act) -> Route {
    let class = if matches!(verb, Verb::Get) { Class::Read } else { Class::Write };
    Route {
        verb,
        template,
        name,
        summary,
        act,
        class,
        about: "",
        params: &[],
        body: None,
        gives: Gives::Nothing,
        refuses: &[],
    }
}

/// A call that reads.
pub const fn get(template: &'static str, name: &'static str, summary: &'static str, act: Act) -> Route {
    route(Verb::Get, template, name, summary, act)
}

/// A call that adds something, or tells something.
pub const fn post(template: &'static str, name: &'static str, summary: &'static str, act: Act) -> Route {
    route(Verb::Post, template, name, summary, act)
}

/// A call that sets something.
pub const fn put(template: &'static str, name: &'static str, summary: &'static str, act: Act) -> Route {
    route(Verb::Put, template, name, summary, act)
}

/// A call that takes something away.
pub const fn delete(template: &'static str, name: &'static str, summary: &'static str, act: Act) -> Route {
    route(Verb::Delete, template, name, summary, act)
}

/// The rest of an entry of the table.
impl Route {
    /// What else its caller should know.
    #[must_use]
    pub const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Parameters of the query.
    #[must_use]
    pub const fn params(self, params: &'static [&'static [Param]]) -> Self {
        Self { params, ..self }
    }

    /// The schema of its body.
    #[must_use]
    pub const fn takes(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    /// What it gives.
    #[must_use]
    pub const fn gives(self, gives: Gives) -> Self {
        Self { gives, ..self }
    }

    /// Another class than its method's.
    #[must_use]
    pub const fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// Statuses of its own refusals.
    #[must_use]
    pub const fn refuses(self, refuses: &'static [u16]) -> Self {
        Self { refuses, ..self }
    }

    /// The values of the template's variables if the path is one of these.
    pub fn matches<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let (mut asked, mut said) = (path.split('/'), self.template.split('/'));
        let mut values = Vec::new();
        loop {
            match (asked.next(), said.next()) {
                (None, None) => return Some(values),
                (Some(value), Some(part)) if part.starts_with('{') && !value.is_empty() => values.push(value),
                (Some(value), Some(part)) if value == part => {}
                _ => return None,
            }
        }
    }

    /// The names of the template's variables.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Its parameters, one by one.
    pub fn each_param(&self) -> impl Iterator<Item = &'static Param> {
        self.params.iter().copied().flatten()
    }

    /// Refuses parameters that are not what the table says.
    ///
    /// # Errors
    /// One is wrong; the problem names it.
    pub fn check(&self, params: &Params<'_>) -> Result<(), Problem> {
        self.each_param().try_for_each(|param| param.check(params))
    }

    /// The scope that a credential needs.
    pub fn scope(&self) -> Option<Scope> {
        if let Act::May(scope, _) = self.act { Some(scope) } else { None }
    }

    /// Whether it is answered without a credential.
    pub fn is_open(&self) -> bool {
        matches!(self.act, Act::Anybody(_))
    }
}

/// What the table says about a method and a path.
pub enum Found<'t, 'p> {
    /// This call, and the values of its variables.
    Call(&'t Route, Vec<&'p str>),
    /// The path exists, for these methods.
    Other(Vec<Verb>),
    /// There is no such path.
    Nothing,
}

/// Looks a call up.
pub fn find<'t, 'p>(table: &'t [Route], method: &Method, path: &'p str) -> Found<'t, 'p> {
    let mut others = Vec::new();
    for route in table {
        let Some(values) = route.matches(path) else { continue };
        if route.verb.is_of(method) {
            return Found::Call(route, values);
        }
        others.push(route.verb);
    }
    if others.is_empty() { Found::Nothing } else { Found::Other(others) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Act = Act::Anybody(|_| Box::pin(async { Err(Problem::new("x", "X", 404)) }));

    #[test]
    fn a_path_is_found_for_its_methods_only() {
        let table = [
            get("/v1/albums/{id}", "one", "", NOBODY),
            get("/v1/albums/newest", "newest", "", NOBODY),
            put("/v1/albums/{id}", "set", "", NOBODY),
        ];
        let name = |method, path| match find(&table, &method, path) {
            Found::Call(route, values) => format!("{} {values:?}", route.name),
            Found::Other(methods) => format!("{methods:?}"),
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(name(Method::GET, "/v1/albums/7"), "one [\"7\"]");
        assert_eq!(name(Method::HEAD, "/v1/albums/7"), "one [\"7\"]");
        assert_eq!(name(Method::PUT, "/v1/albums/7"), "set [\"7\"]");
        assert_eq!(name(Method::DELETE, "/v1/albums/7"), "[Get, Put]");
        for path in ["/v1/albums", "/v1/albums/", "/v1/albums/7/", "/v1/albums/7/tracks", "/v1//7", ""] {
            assert_eq!(name(Method::GET, path), "nothing", "{path}");
        }
    }
}
