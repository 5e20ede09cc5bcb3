//! Settings: how texts are read, what validators say, what is never printed.

use proptest::prelude::*;

use super::*;

fn map(entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn check(config_type: ConfigType, text: &str, expected: Result<&str, &str>) {
    let def = ConfigDef::new().define(ConfigKey::new("k", config_type, Importance::Low, ""));
    let values = def.validate(&map(&[("k", text)]));
    let actual = match values[0].errors.as_slice() {
        [] => Ok(values[0].value.clone().unwrap()),
        errors => Err(errors.join("|")),
    };
    let expected = expected.map(str::to_owned).map_err(|message| {
        let shown = if config_type == ConfigType::Password { "[hidden]" } else { text };
        format!("Invalid value {shown} for configuration k: {message}")
    });
    assert_eq!(actual, expected, "{config_type} {text:?}");
}

#[test]
fn texts_are_read_by_type() {
    use ConfigType::{Boolean, Class, Double, Int, List, Long, Password, Short, String};
    check(Boolean, " TRUE ", Ok("true"));
    check(Boolean, "False", Ok("false"));
    check(Boolean, "maybe", Err("Expected value to be either true or false"));
    check(String, "  a b\t", Ok("a b"));
    check(String, "\u{a0}x", Ok("\u{a0}x"));
    check(Int, " 12 ", Ok("12"));
    check(Int, "2147483648", Err("Not a number of type INT"));
    check(Int, "", Err("Not a number of type INT"));
    check(Short, "-1", Ok("-1"));
    check(Short, "32768", Err("Not a number of type SHORT"));
    check(Long, "9223372036854775807", Ok("9223372036854775807"));
    check(Long, "1.0", Err("Not a number of type LONG"));
    check(Double, "1", Ok("1.0"));
    check(Double, "x", Err("Not a number of type DOUBLE"));
    check(List, "", Ok(""));
    check(List, " a , b,,c", Ok("a,b,,c"));
    check(Class, " a.B ", Ok("a.B"));
    check(Password, "secret", Ok("[hidden]"));
}

#[test]
fn lists_keep_empty_elements_and_an_empty_text_is_an_empty_list() {
    let def = ConfigDef::new().define(ConfigKey::new("k", ConfigType::List, Importance::Low, ""));
    let read = |text| def.parse(&map(&[("k", text)])).unwrap().get::<Vec<String>>("k").unwrap();
    assert_eq!(read("  "), Vec::<String>::new());
    assert_eq!(read("a,,b"), ["a", "", "b"]);
}

#[test]
fn an_unreadable_number_with_a_bound_gives_two_messages() {
    let def = ConfigDef::new()
        .define(ConfigKey::new("tasks.max", ConfigType::Int, Importance::High, "").default("1").at_least(1));
    let errors = |text| def.validate(&map(&[("tasks.max", text)])).remove(0).errors;
    assert_eq!(
        errors("zero"),
        [
            "Invalid value zero for configuration tasks.max: Not a number of type INT",
            "Invalid value null for configuration tasks.max: Value must be non-null"
        ]
    );
    assert_eq!(errors("0"), ["Invalid value 0 for configuration tasks.max: Value must be at least 1"]);
    assert_eq!(errors("1"), Vec::<String>::new());
}

#[test]
fn a_missing_required_setting_is_reported() {
    let def = ConfigDef::new()
        .define(ConfigKey::required("topic", ConfigType::String, Importance::High, ""))
        .define(ConfigKey::required("file", ConfigType::String, Importance::High, ""));
    assert_eq!(
        def.parse(&Settings::new()).unwrap_err().to_string(),
        "Missing required configuration \"topic\" which has no default value.\n\
         Missing required configuration \"file\" which has no default value."
    );
}

#[test]
fn validators_say_what_apache_says() {
    let text = |text: &str| Some(TypedValue::String(text.to_owned()));
    let list = |items: &[&str]| Some(TypedValue::List(items.iter().map(|&i| i.to_owned()).collect()));
    let choices = || vec!["a".to_owned(), "b".to_owned()];
    let cases = [
        (Validator::Between(0, 5), Some(TypedValue::Int(6)), Err("Value must be no more than 5")),
        (Validator::AtLeast(0), None, Err("Value must be non-null")),
        (Validator::Nullable(Box::new(Validator::AtLeast(0))), None, Ok(())),
        (Validator::OneOf(choices()), text("A"), Err("String must be one of: a, b")),
        (Validator::OneOf(choices()), text("a"), Ok(())),
        (Validator::OneOfIgnoringCase(choices()), text("A"), Ok(())),
        (
            Validator::OneOfIgnoringCase(choices()),
            text("c"),
            Err("String must be one of (case insensitive): a, b"),
        ),
        (Validator::NonEmpty, text(""), Err("String must be non-empty")),
        (Validator::NonEmpty, None, Ok(())),
        (Validator::TopicName, text("t-1"), Ok(())),
        (Validator::TopicName, None, Ok(())),
        (Validator::TopicName, text(""), Err("String must be non-empty")),
        (
            Validator::TopicName,
            text("a b"),
            Err("'a b' is no name of a topic: those have 1 to 249 of the characters a-z A-Z 0-9 . _ -"),
        ),
        (Validator::NonEmptyList, list(&[]), Err("Empty list")),
        (Validator::UniqueAliases, list(&["a", "b", "a"]), Err("Duplicate alias provided.")),
        (Validator::UniqueAliases, list(&["a", "b"]), Ok(())),
    ];
    for (validator, value, expected) in cases {
        assert_eq!(
            validator.check(value.as_ref()),
            expected.map_err(str::to_owned),
            "{validator:?} {value:?}"
        );
    }
    let message = Validator::Regex.check(text("a(").as_ref()).unwrap_err();
    assert!(message.starts_with("Invalid regex: "), "{message}");
}

#[test]
fn a_list_in_a_message_stands_in_brackets() {
    let def = ConfigDef::new().define(
        ConfigKey::new("transforms", ConfigType::List, Importance::Low, "")
            .validator(Validator::UniqueAliases),
    );
    assert_eq!(
        def.validate(&map(&[("transforms", "a,a")])).remove(0).errors,
        ["Invalid value [a, a] for configuration transforms: Duplicate alias provided."]
    );
}

#[test]
fn values_are_read_as_rust_types() {
    let def = ConfigDef::new()
        .define(ConfigKey::new("wait.ms", ConfigType::Long, Importance::Low, "").default("1500"))
        .define(ConfigKey::new("size", ConfigType::Int, Importance::Low, "").default("-3"))
        .define(ConfigKey::new("file", ConfigType::String, Importance::Low, ""));
    let parsed = def.parse(&Settings::new()).unwrap();
    assert_eq!(parsed.get("wait.ms"), Ok(std::time::Duration::from_millis(1500)));
    assert_eq!(parsed.get::<Option<String>>("file"), Ok(None));
    let message = |error: ConfigError| error.to_string();
    assert_eq!(
        parsed.get::<String>("file").map_err(message),
        Err("Invalid value null for configuration file: Value must be non-null".to_owned())
    );
    assert_eq!(
        parsed.get::<usize>("size").map_err(message),
        Err("Invalid value -3 for configuration size: Value must be at least 0".to_owned())
    );
    assert_eq!(
        parsed.get::<bool>("size").map_err(message),
        Err("configuration size is of type INT and cannot be read as bool".to_owned())
    );
    assert_eq!(parsed.get::<bool>("nope").map_err(message), Err("Unknown configuration 'nope'".to_owned()));
}

#[test]
fn embedded_settings_carry_prefix_group_and_order() {
    let inner = ConfigDef::new().define(
        ConfigKey::new("fields", ConfigType::List, Importance::High, "")
            .shown("", 0, Width::Long, "Fields")
            .dependents(&["other"]),
    );
    let outer = ConfigDef::new().embed("transforms.a.", "Transforms: a", 3, &inner);
    let key = outer.key("transforms.a.fields").unwrap();
    assert_eq!(
        (key.group.as_deref(), key.order_in_group, key.dependents.as_slice()),
        (Some("Transforms: a"), 3, ["transforms.a.other".to_owned()].as_slice())
    );
}

proptest! {
    #[test]
    fn a_secret_is_never_printed(secret in "[a-z0-9]{12,24}") {
        let def = ConfigDef::new()
            .define(ConfigKey::new("p", ConfigType::Password, Importance::High, "").default(&secret))
            .define(ConfigKey::new("q", ConfigType::Password, Importance::High, "").validator(
                Validator::custom("nothing", |_| Err("no".to_owned())),
            ));
        let config = Settings::from_iter([("q".to_owned(), secret.clone())]);
        let values = def.validate(&config);
        let mut printed = format!("{values:?} {}", def.parse(&config).unwrap_err());
        let good = ConfigDef::new().define(def.key("p").unwrap().clone());
        let parsed = good.parse(&Settings::new()).unwrap();
        printed += &format!("{parsed:?} {:?}", parsed.iter().collect::<Vec<_>>());
        printed += good.key("p").unwrap().default_text().unwrap();
        prop_assert!(!printed.contains(&secret), "{}", printed);
        let password = parsed.get::<Password>("p").unwrap();
        prop_assert_eq!(password.expose(), secret.as_str());
    }
}
