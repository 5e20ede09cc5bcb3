//! The JAAS syntax: `Module flag key="value" … ;`, alone in `sasl.jaas.config`, inside `Entry { … };` in a file.

use crate::api::config_def::Password;

/// One login module with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginModule {
    /// The class name.
    pub class: String,
    /// The options by name; each may be a secret.
    options: Vec<(String, Password)>,
}

impl LoginModule {
    /// The class name without its package.
    #[must_use]
    pub fn simple_class(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }

    /// One option.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&Password> {
        self.options.iter().find_map(|(option, value)| (option == name).then_some(value))
    }
}

/// Parses the text of `sasl.jaas.config`: exactly one login module.
///
/// # Errors
/// What is wrong, without any value of the text: it holds secrets.
pub fn parse_module(text: &str) -> Result<LoginModule, String> {
    let mut tokens = Tokens(text);
    let module = tokens.module()?;
    match tokens.next()? {
        None => Ok(module),
        Some(_) => Err("only one login module is allowed".to_owned()),
    }
}

/// Finds the login modules of the entry `name` in the text of a JAAS file.
///
/// # Errors
/// What is wrong, or that there is no such entry.
pub fn parse_entry(text: &str, name: &str) -> Result<Vec<LoginModule>, String> {
    let mut tokens = Tokens(text);
    while let Some(token) = tokens.next()? {
        let Token::Word(entry) = token else { return Err("an entry must begin with its name".to_owned()) };
        tokens.expect('{')?;
        let mut modules = Vec::new();
        while !tokens.skip('}')? {
            modules.push(tokens.module()?);
        }
        tokens.expect(';')?;
        if entry == name {
            return Ok(modules);
        }
    }
    Err(format!("there is no entry {name}"))
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(char),
}

/// The rest of the text.
#[derive(Clone)]
struct Tokens<'a>(&'a str);

impl Tokens<'_> {
    fn module(&mut self) -> Result<LoginModule, String> {
        let class = self.word("the class of a login module")?;
        let flag = self.word("a control flag")?;
        if !["required", "requisite", "sufficient", "optional"].contains(&flag.to_ascii_lowercase().as_str())
        {
            return Err("the control flag after the login module is none of required, requisite, sufficient, optional".to_owned());
        }
        let mut options = Vec::new();
        while !self.skip(';')? {
            let name = self.word("an option or ';'")?;
            self.expect('=')?;
            options.push((name, Password::new(self.word("the value of an option")?)));
        }
        Ok(LoginModule { class, options })
    }

    fn word(&mut self, wanted: &str) -> Result<String, String> {
        match self.next()? {
            Some(Token::Word(word)) => Ok(word),
            Some(Token::Sign(sign)) => Err(format!("expected {wanted}, but found '{sign}'")),
            None => Err(format!("expected {wanted}, but the text ends")),
        }
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.skip(sign)? { Ok(()) } else { Err(format!("expected '{sign}'")) }
    }

    /// Takes the next token if it is `sign`.
    fn skip(&mut self, sign: char) -> Result<bool, String> {
        let mut ahead = self.clone();
        let found = ahead.next()? == Some(Token::Sign(sign));
        if found {
            self.0 = ahead.0;
        }
        Ok(found)
    }

    fn next(&mut self) -> Result<Option<Token>, String> {
        self.skip_blanks();
        let Some(first) = self.0.chars().next() else { return Ok(None) };
        if matches!(first, '{' | '}' | ';' | '=') {
            self.0 = &self.0[1..];
            return Ok(Some(Token::Sign(first)));
        }
        if matches!(first, '"' | '\'') {
            return self.quoted(first).map(Some);
        }
        let end = self.0.find(|c: char| c.is_whitespace() || "{};=\"".contains(c)).unwrap_or(self.0.len());
        let word = self.0[..end].to_owned();
        self.0 = &self.0[end..];
        Ok(Some(Token::Word(word)))
    }

    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        let mut word = String::new();
        let mut characters = self.0.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => word.extend(characters.next().map(|(_, escaped)| match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                })),
                _ if character == quote => {
                    self.0 = &self.0[at + 1..];
                    return Ok(Token::Word(word));
                }
                _ => word.push(character),
            }
        }
        Err("a quote is not closed".to_owned())
    }

    fn skip_blanks(&mut self) {
        loop {
            self.0 = self.0.trim_start();
            let end = match self.0.get(..2) {
                Some("//") => self.0.find('\n'),
                Some("/*") => self.0.find("*/").map(|at| at + 2),
                _ if self.0.starts_with('#') => self.0.find('\n'),
                _ => return,
            };
            self.0 = &self.0[end.unwrap_or(self.0.len())..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_of_a_client() {
        let module = parse_module(
            "org.apache.kafka.common.security.plain.PlainLoginModule required\n  username=\"a\\\"b\" password='p;=w' x=1;",
        )
        .unwrap();
        assert_eq!(module.simple_class(), "PlainLoginModule");
        let option = |name| module.option(name).map(Password::expose);
        assert_eq!(
            (option("username"), option("password"), option("x"), option("y")),
            (Some("a\"b"), Some("p;=w"), Some("1"), None)
        );
        assert!(!format!("{module:?}").contains("p;=w"));
    }

    #[test]
    fn an_entry_of_a_file() {
        let text = "// comment\nOther { a.B required; };\n/* more */\nKafkaConnect {\n  c.D Required file=\"/f\";\n};\n";
        let modules = parse_entry(text, "KafkaConnect").unwrap();
        assert_eq!((modules.len(), modules[0].class.as_str()), (1, "c.D"));
        assert_eq!(parse_entry(text, "None"), Err("there is no entry None".to_owned()));
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        for (text, expected) in [
            ("", "expected the class of a login module, but the text ends"),
            ("M", "expected a control flag, but the text ends"),
            (
                "M hunter2",
                "the control flag after the login module is none of required, requisite, sufficient, optional",
            ),
            ("M required password=\"hunter2\"", "expected an option or ';', but the text ends"),
            ("M required password=\"hunter2;", "a quote is not closed"),
            ("M required password hunter2;", "expected '='"),
            ("M required; hunter2", "only one login module is allowed"),
        ] {
            assert_eq!(parse_module(text), Err(expected.to_owned()), "{text}");
        }
    }
}
