//! What an image's name says about the server in it.

/// How a server behaves towards whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Speaks 2026-07-28 and the versions before it, on one path.
    Both,
    /// Speaks 2026-07-28 alone.
    Modern,
    /// Speaks a version that nobody knows yet.
    Future,
    /// As `Modern`, and wants a client that can elicit.
    Demanding,
    /// Speaks 2025-11-25 and before, with sessions.
    Legacy,
    /// The same, answering with streams that end after the answer.
    Streams,
    /// The same, answering with streams that stay open.
    OpenStreams,
    /// Speaks 2025-11-25 and before, without sessions.
    Stateless,
    /// Speaks 2025-03-26 as it was then, without sessions: it knows no `MCP-Protocol-Version`.
    Early,
    /// Speaks the transport of 2024-11-05, at `/sse`.
    OldSse,
    /// As `Both`, for who brings a bearer token.
    Login,
    /// Answers everything with a page.
    Html,
    /// Answers GET with a page, and nothing else.
    Nginx,
    /// Answers everything with JSON that is no JSON-RPC.
    Json,
    /// Answers everything with half of an answer.
    Garbage,
    /// Answers everything with 500.
    Errors,
    /// Sends everybody elsewhere, where it would speak.
    Redirects,
    /// Reads, and never answers.
    Silent,
    /// As `Both`, one byte a second.
    Slow,
    /// Answers without an end.
    Endless,
    /// Closes every connection at once.
    HangsUp,
    /// Nothing listens, and probes see it.
    Refuses,
    /// Nothing listens, but for the probes: as behind a NetworkPolicy.
    Unreachable,
}

/// Which word in an image's name means what: the first that is found counts. An image without any of them is
/// [`Behaviour::Both`].
pub const WORDS: [(&str, Behaviour, &str); 23] = [
    ("speaks-both", Behaviour::Both, "2026-07-28 and the versions before it, with sessions; the default"),
    ("speaks-modern", Behaviour::Modern, "2026-07-28 alone: no initialize, no sessions"),
    ("speaks-future", Behaviour::Future, "a version that nobody knows yet: error -32022"),
    ("speaks-demanding", Behaviour::Demanding, "2026-07-28, to clients that can elicit: error -32021"),
    ("speaks-legacy", Behaviour::Legacy, "2025-11-25 and before, with sessions"),
    ("speaks-streams", Behaviour::Streams, "the same, answering with event streams"),
    ("speaks-open-streams", Behaviour::OpenStreams, "the same, with streams that stay open after the answer"),
    ("speaks-stateless", Behaviour::Stateless, "2025-11-25 and before, without sessions"),
    ("speaks-early", Behaviour::Early, "2025-03-26 as it was then, without sessions"),
    ("speaks-sse", Behaviour::OldSse, "the deprecated transport: GET /sse, POST /messages"),
    ("speaks-login", Behaviour::Login, "401 without a bearer token"),
    ("speaks-html", Behaviour::Html, "a page, whatever is asked"),
    ("speaks-nginx", Behaviour::Nginx, "a page to GET, and 405 to everything else"),
    ("speaks-json", Behaviour::Json, "JSON that is not JSON-RPC"),
    ("speaks-garbage", Behaviour::Garbage, "half an answer"),
    ("speaks-errors", Behaviour::Errors, "500"),
    ("speaks-elsewhere", Behaviour::Redirects, "307 to another path, where it would speak"),
    ("speaks-nothing", Behaviour::Silent, "reads, and never answers"),
    ("speaks-slowly", Behaviour::Slow, "one byte a second"),
    ("speaks-endlessly", Behaviour::Endless, "an answer without an end"),
    ("hangs-up", Behaviour::HangsUp, "closes each connection at once"),
    ("not-listening", Behaviour::Refuses, "refuses connections; probes fail"),
    ("unreachable", Behaviour::Unreachable, "refuses connections; probes pass, as behind a NetworkPolicy"),
];

impl Behaviour {
    /// What the image's name says.
    pub fn of(image: &str) -> Self {
        WORDS.iter().find(|(word, _, _)| image.contains(word)).map_or(Self::Both, |(_, behaviour, _)| *behaviour)
    }

    /// The word for it in an image's name.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, behaviour, _)| *behaviour == self).map_or("", |(word, _, _)| word)
    }

    /// Is there anything that accepts connections?
    pub fn listens(self) -> bool {
        !matches!(self, Self::Refuses | Self::Unreachable)
    }
}

/// The table of [`WORDS`], for people.
pub fn help() -> String {
    let title = "What a pod's server speaks, by a word in its image's name (any other image speaks both eras):\n";
    let rows = WORDS.iter().map(|(word, _, meaning)| format!("  {word:<21} {meaning}\n"));
    std::iter::once(title.to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_names_no_behaviour_speaks_both_eras() {
        for image in ["ghcr.io/stackloklabs/gofetch/server:1.0.1", "quay.io/matzew/mcp-everything:latest", ""] {
            assert_eq!(Behaviour::of(image), Behaviour::Both, "{image}");
        }
    }

    #[test]
    fn each_word_leads_to_its_own_behaviour_and_back() {
        for (word, behaviour, _) in WORDS {
            assert_eq!(Behaviour::of(&format!("registry.example/{word}:1")), behaviour);
            assert_eq!(behaviour.word(), word);
            assert!(help().contains(word));
        }
    }
}
