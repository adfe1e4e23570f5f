//! Templates of keys and documents: text with `$(name)` in it (spec 4.12, 6.2). What the names stand for is the caller's.

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// It stays as it is.
    Text(&'t str),
    /// The name of a variable.
    Variable(&'t str),
}

/// Takes a template apart. `$(` without an end is text.
pub fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some((before, name, after)) = next_variable(rest) {
        pieces.extend([Piece::Text(before), Piece::Variable(name)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// `template` with each variable replaced; a name that is no variable becomes nothing.
pub fn expand(template: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let text = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Variable(name) => variable(name).unwrap_or_default(),
    };
    pieces(template).into_iter().map(text).collect()
}

fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, behind) = text.split_once("$(")?;
    let (name, after) = behind.split_once(')')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_taken_apart() {
        use Piece::{Text, Variable};
        for (template, expected) in [
            ("", vec![Text("")]),
            ("a$(b)c", vec![Text("a"), Variable("b"), Text("c")]),
            ("$(a)$()", vec![Text(""), Variable("a"), Text(""), Variable(""), Text("")]),
            ("$$(a))$(b", vec![Text("$"), Variable("a"), Text(")$(b")]),
        ] {
            assert_eq!(pieces(template), expected, "{template}");
        }
        let variable = |name: &str| (name == "a").then(|| "猫".to_owned());
        assert_eq!(expand("$(a)/$(b)$(a).jpg", variable), "猫/猫.jpg");
    }
}
