//! What the doctor finds, and the table that it prints.

use std::fmt::Write as _;

/// Whether something is as it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Ok,
    /// It is not, and the operator can't do its work, or not all of it.
    Wrong,
    /// It could not be examined.
    Unknown,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it has to be.
    pub verdict: Verdict,
    /// What was examined.
    pub what: String,
    /// What was found, and if that is wrong, how to fix it.
    pub found: String,
}

impl Finding {
    /// As it has to be.
    pub fn ok(what: &str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what: what.to_owned(), found: found.into() }
    }

    /// Not as it has to be; `mend` is what to do about it.
    pub fn wrong(what: &str, found: &str, mend: &str) -> Self {
        Self { verdict: Verdict::Wrong, what: what.to_owned(), found: format!("{found}; {mend}") }
    }

    /// Not examined, for this reason.
    pub fn unknown(what: &str, why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unknown, what: what.to_owned(), found: why.into() }
    }
}

/// One line for each finding, in columns. The last column is not wrapped: a terminal does that, and `grep` needs whole
/// lines.
pub fn table(findings: &[Finding]) -> String {
    let width = |text: fn(&Finding) -> &str| findings.iter().map(|it| text(it).chars().count()).max().unwrap_or(0);
    let (verdicts, whats) = (width(|it| it.verdict.as_str()), width(|it| &it.what));
    let mut table = String::new();
    for Finding { verdict, what, found } in findings {
        // An answer of a server may have several lines.
        let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
        // Writing into a String can't fail.
        _ = writeln!(table, "{:verdicts$}  {what:whats$}  {found}", verdict.as_str());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_one_line_and_the_columns_are_aligned() {
        let findings = [
            Finding::ok("server version", "v1.36.2"),
            Finding::wrong("CRD", "it is\nnot installed", "run `make install`"),
            Finding::unknown("webhook", "nobody knows"),
        ];
        let expected = "ok       server version  v1.36.2\n\
                        wrong    CRD             it is not installed; run `make install`\n\
                        unknown  webhook         nobody knows\n";
        assert_eq!(table(&findings), expected);
    }
}
