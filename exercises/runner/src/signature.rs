//! The arguments in a function's head, as text.

/// The names of a function's arguments, from its head.
pub fn arguments(head: &str) -> Vec<String> {
    let signature: String =
        head.lines().filter(|line| !line.starts_with("///") && !line.starts_with('#')).collect();
    let Some((_, rest)) = signature.split_at_checked(opening(&signature)) else { return Vec::new() };
    let (mut depth, mut arguments, mut current) = (0, Vec::new(), String::new());
    for letter in rest.chars() {
        match letter {
            '(' | '[' | '<' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            '>' if !current.ends_with('-') => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(letter);
    }
    arguments.push(current);
    let name = |argument: String| {
        let (name, _) = argument.split_once(':')?;
        let name = name.trim().trim_start_matches("mut ").trim().to_owned();
        (!name.is_empty()).then_some(name)
    };
    arguments.into_iter().filter_map(name).collect()
}

/// Where a signature's arguments begin: behind the bracket that follows the name and the generic parameters.
fn opening(signature: &str) -> usize {
    let (mut depth, mut before) = (0, ' ');
    for (at, letter) in signature.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            '(' if depth == 0 => return at + 1,
            _ => {}
        }
        before = letter;
    }
    signature.len()
}
