//! A chapter's tables and plots on one page for a browser.

/// The page as it grows; its pictures lie beside it, in the chapter's folder.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    body: String,
}

const STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { font: 13px/1.4 ui-monospace, 'DejaVu Sans Mono', monospace; overflow-x: auto }
img { max-width: 100%; background: white }
.ok { color: #137333 } .no { color: #c5221f; font-weight: bold }
@media (prefers-color-scheme: dark) { .ok { color: #81c995 } .no { color: #f28b82 } }";

impl Page {
    pub fn new(name: &str, question: &str, command: &str) -> Self {
        let heading = format!("<h1>{}</h1>\n<pre>{}</pre>\n", escaped(question), escaped(command));
        Page { title: escaped(name), body: heading }
    }

    pub fn heading(&mut self, title: &str) {
        self.body.push_str(&format!("<h2>{}</h2>\n", escaped(title)));
    }

    pub fn paragraph(&mut self, text: &str) {
        self.body.push_str(&format!("<p>{}</p>\n", escaped(text).replace('\n', "<br>\n")));
    }

    /// A table as it stands on the terminal, its verdicts in colours.
    pub fn table(&mut self, text: &str) {
        let text = escaped(text)
            .replace("✗ NO", "<span class=\"no\">✗ NO</span>")
            .replace('✓', "<span class=\"ok\">✓</span>");
        self.body.push_str(&format!("<pre>{text}</pre>\n"));
    }

    /// A picture that lies beside the page.
    pub fn picture(&mut self, file: &str) {
        let file = escaped(file);
        self.body.push_str(&format!("<p><a href=\"{file}\"><img src=\"{file}\" alt=\"{file}\"></a></p>\n"));
    }

    pub fn whole(&self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
             <style>\n{STYLE}\n</style>\n{}</html>\n",
            self.title, self.body
        )
    }
}

/// A text without the characters that HTML reads as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
