//! A JSON object of settings as diffusers writes it, of a network or of a scheduler, read by one rule.
//!
//! What says how the object came to be (its version, where it was loaded from, the state of a moving average) is passed over. Every
//! other key must be one that this package has: what it does not use, it must refuse, or the numbers would be another network's.

use ddpm::{
    Error as CourseError,
    error::Place,
    files::{FileKind, Input},
};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, Deserializer, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt, path::Path};

/// The largest file of settings: a million β take less.
const LARGEST: u64 = 32 << 20;
const CLASS: &str = "_class_name";
const REMEDY: &str = "correct the file, or save it again from diffusers";

/// What diffusers' `EMAModel` writes into the settings of the network that it averages: its own state.
const OF_AN_AVERAGE: [&str; 7] =
    ["decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"];

/// The keys and values of one JSON object, each key once.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Settings(Map<String, Value>);

/// What is wrong with settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub found: String,
    pub expected: String,
    pub remedy: String,
}

/// Whether a key says how the settings came to be, and nothing of what they describe.
fn is_bookkeeping(key: &str) -> bool {
    key.starts_with('_') || OF_AN_AVERAGE.contains(&key)
}

impl Settings {
    /// Reads a file.
    pub fn read(path: &Path, input: &Input) -> Result<Self, CourseError> {
        let bytes = input.read(path, LARGEST)?;
        Self::parse(&bytes).map_err(|(place, found)| match FileKind::of_bytes(&bytes) {
            FileKind::Json | FileKind::Text => {
                let (path, expected, remedy) = (path.into(), input.expected.into(), REMEDY.into());
                CourseError::Content { path, place, found, expected, remedy }
            }
            kind => input.another_kind(path, kind),
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, (Place, String)> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to() as u64;
            (Place::Byte(at), "a byte that is no text in UTF-8".to_owned())
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text); // a byte order mark
        serde_json::from_str(&finite(text))
            .map_err(|error| (Place::Line(error.line() as u64), error.to_string()))
    }

    /// The class of diffusers' that the settings are of.
    pub fn class(&self) -> Result<Option<&str>, Fault> {
        match self.0.get(CLASS) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(other) => Err(Fault {
                found: format!("{CLASS} = {other}"),
                expected: "the name of a class".into(),
                remedy: REMEDY.into(),
            }),
        }
    }

    /// The keys, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Takes out the keys that `chosen` says yes to.
    pub fn take(&mut self, chosen: impl Fn(&str) -> bool) -> Map<String, Value> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| chosen(key));
        self.0 = left;
        taken
    }

    /// Gives a key that is missing a value.
    pub fn set_default(&mut self, key: &str, value: Value) {
        self.0.entry(key).or_insert(value);
    }

    /// The settings as a type whose fields are the keys. Keys that are missing have the type's defaults; bookkeeping is passed over,
    /// and so is an unknown key that is null, for it is not set.
    pub fn typed<T: Default + Serialize + DeserializeOwned>(mut self) -> Result<T, Fault> {
        let Ok(Value::Object(known)) = serde_json::to_value(T::default()) else {
            unreachable!("settings are an object")
        };
        self.0.retain(|key, value| known.contains_key(key) || !(is_bookkeeping(key) || value.is_null()));
        if let Some((key, value)) = self.0.iter().find(|(key, _)| !known.contains_key(*key)) {
            return Err(Fault {
                found: format!("{key} = {}", shortened(value)),
                expected: "only settings that this course has".into(),
                remedy: "check how it is spelled; if it is none of yours, take a network without it".into(),
            });
        }
        serde_path_to_error::deserialize(Value::Object(self.0)).map_err(|error| {
            let (key, inner) = (error.path().to_string(), error.into_inner().to_string());
            let (found, expected) = inner.split_once(", expected ").unwrap_or((&inner, ""));
            let expected = match expected {
                "usize" => "a whole number that is not negative",
                "f64" => "a number",
                "" => "a value that fits",
                other => other,
            };
            Fault { found: format!("{key}: {found}"), expected: expected.into(), remedy: REMEDY.into() }
        })
    }
}

/// A value, short enough for a message.
pub(crate) fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        text
    } else {
        format!("{}…", text.chars().take(60).collect::<String>())
    }
}

/// JSON of what Python writes: numbers that are not finite become null.
fn finite(text: &str) -> Cow<'_, str> {
    const NAMES: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !NAMES.iter().any(|name| text.contains(name)) {
        return Cow::Borrowed(text);
    }
    let (mut json, mut rest, mut quoted) = (String::with_capacity(text.len()), text, false);
    while let Some(next) = rest.chars().next() {
        if let Some(name) = NAMES.iter().find(|name| !quoted && rest.starts_with(**name)) {
            json.push_str("null");
            rest = &rest[name.len()..];
            continue;
        }
        let length = match next {
            '\\' if quoted => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => next.len_utf8(),
        };
        quoted ^= next == '"';
        json.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Cow::Owned(json)
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Settings, A::Error> {
                let mut settings = Map::new();
                while let Some((key, value)) = entries.next_entry::<String, Value>()? {
                    if settings.contains_key(&key) {
                        return Err(serde::de::Error::custom(format!("the key {key} twice")));
                    }
                    settings.insert(key, value);
                }
                Ok(Settings(settings))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found {}, expected {}; {}", self.found, self.expected, self.remedy)
    }
}

impl Fault {
    /// As the fault of a file.
    pub fn at(self, path: &Path) -> CourseError {
        let Fault { found, expected, remedy } = self;
        CourseError::Content { path: path.into(), place: Place::Whole, found, expected, remedy }
    }
}

impl From<crate::Error> for Fault {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Course(error) => error.into(),
            other => {
                let expected = "settings that can be built".into();
                Fault { found: other.to_string(), expected, remedy: REMEDY.into() }
            }
        }
    }
}

impl From<CourseError> for Fault {
    fn from(error: CourseError) -> Self {
        match error {
            CourseError::Parameter { name, value, bound, remedy } => {
                Fault { found: format!("{name} = {value}"), expected: format!("it to {bound}"), remedy }
            }
            other => Fault {
                found: other.to_string(),
                expected: "settings that fit".into(),
                remedy: REMEDY.into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_that_are_not_finite_are_null() {
        let text = r#"{"a": -Infinity, "b": [NaN, Infinity], "NaN": "Infinity \" NaN", "c": "é\\"}"#;
        let read: Value = serde_json::from_str(&finite(text)).unwrap();
        let expected =
            serde_json::json!({"a": null, "b": [null, null], "NaN": "Infinity \" NaN", "c": "é\\"});
        assert_eq!(read, expected);
        assert!(matches!(finite("{\"a\": 1}"), Cow::Borrowed(_)));
        for cut in ["\"NaN\\", "\\", "NaN\"", ""] {
            finite(cut); // what is no JSON stays none
        }
    }

    #[test]
    fn bookkeeping_is_passed_over_and_nothing_else() {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        struct Example {
            count: usize,
            share: Option<f64>,
        }
        let typed = |text: &str| Settings::parse(text.as_bytes()).unwrap().typed::<Example>();
        let expected = Example { count: 3, share: None };
        let averaged = OF_AN_AVERAGE.map(|key| format!("\"{key}\": 0.5, ")).concat();
        for bookkeeping in ["", "\"_anything\": [1], ", "\"not_set\": null, ", averaged.as_str()] {
            assert_eq!(typed(&format!("\u{feff}{{{bookkeeping}\"count\": 3}}")), Ok(expected.clone()));
        }
        for (text, found) in [
            ("{\"cuont\": 3}", "cuont = 3"),
            ("{\"count\": -1}", "count: invalid value: integer `-1`"),
            ("{\"count\": 1e3}", "count: invalid type: floating point"),
            ("{\"count\": null}", "count: invalid type: null"),
            ("{\"share\": [1]}", "share: invalid type: sequence"),
        ] {
            let fault = typed(text).unwrap_err();
            assert!(fault.found.starts_with(found), "{text}: {fault}");
        }
        let (_, twice) = Settings::parse(b"{\"count\": 1, \"count\": 2}").unwrap_err();
        assert!(twice.contains("the key count twice"), "{twice}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "[]", "3", "{", "null", &deep, &format!("{{\"a\": {deep}")] {
            assert!(Settings::parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(20)]);
        }
        assert_eq!(Settings::parse(b"{\"a\": \xff}").unwrap_err().0, Place::Byte(6));
    }
}
