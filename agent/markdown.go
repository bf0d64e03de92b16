package agent

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What GitHub makes of text beyond Markdown, after Markdown is rendered: a
// backslash does not help against it. An invisible character in the middle does,
// as Renovate and Dependabot have it.
//
// https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax
var (
	mention = regexp.MustCompile(`@(\w)`)                           // people and teams, who would be told
	issue   = regexp.MustCompile(`(?i)(#|\bgh-)(\d)`)               // issues and pull requests, which would show it
	weblink = regexp.MustCompile(`(?i)\b(?:https?|ftp)://|\bwww\.`) // links, to issues too
	emoji   = regexp.MustCompile(`:([a-z+-][a-z0-9_+-]*):`)         // pictures
	entity  = regexp.MustCompile(`&(#?\w+;)`)                       // characters by name
	unnamed = regexp.MustCompile(`[^A-Za-z0-9 .,()-]`)              // what no name of Kubernetes has
	under   = regexp.MustCompile(`_+`)                              // emphasis, unless within a word
)

// breaker is invisible, and nothing that GitHub knows has it inside.
const breaker = "\u200b"

// harmless is text in which GitHub finds nobody to tell and nothing to link.
func harmless(text string) string {
	text = mention.ReplaceAllStringFunc(text, func(found string) string { return "@" + breaker + found[1:] })
	text = strings.ReplaceAll(text, "@"+breaker+"sha256:", "@sha256:") // a digest, which people copy; nobody is called so with a colon
	text = issue.ReplaceAllString(text, "${1}"+breaker+"${2}")
	text = weblink.ReplaceAllStringFunc(text, func(found string) string {
		if scheme, is := strings.CutSuffix(found, "//"); is {
			return scheme + breaker + "//"
		}
		return found[:len(found)-1] + breaker + "."
	})
	return emoji.ReplaceAllString(text, ":"+breaker+"${1}:")
}

// plain is text on one line of Markdown, in which nothing of the text is markup,
// tells anybody or links anywhere. It must not begin a line.
func plain(text string) string { return escaped(harmless(oneLine(text))) }

// escaped is one line of text in which nothing is markup. GitHub may still find
// somebody to tell in it, or something to link.
func escaped(text string) string {
	markup := strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`, "~", `\~`, "|", `\|`, "$", `\$`)
	return escapeUnderscores(entity.ReplaceAllString(markup.Replace(text), `\&${1}`))
}

// escapeUnderscores leaves those within a word alone: they are no emphasis, and
// people copy names of variables.
func escapeUnderscores(text string) string {
	var b strings.Builder
	last := 0
	for _, at := range under.FindAllStringIndex(text, -1) {
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		after, _ := utf8.DecodeRuneInString(text[at[1]:])
		b.WriteString(text[last:at[0]])
		run := text[at[0]:at[1]]
		if !isWord(before) || !isWord(after) {
			run = strings.Repeat(`\_`, len(run))
		}
		b.WriteString(run)
		last = at[1]
	}
	return b.String() + text[last:]
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// oneLine is text with single spaces, and without characters that control a
// terminal or the direction of text.
func oneLine(text string) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(visible), " ")
}

// bold is plain text in bold type.
func bold(text string) string { return "**" + plain(text) + "**" }

// code is text as it stands, on one line; not for a table if it may have a "|".
func code(text string) string {
	text = oneLine(text)
	if text == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// fenced is a code block that its content cannot end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence
}

// link is text that leads to a web address; the text alone if it is none.
func link(text, to string) string {
	u := webAddress(to)
	if u == "" {
		return text
	}
	return "[" + text + "](" + u + ")"
}

// webAddress is text as the target of a link, if a browser goes there.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || len(text) > maxURLBytes {
		return ""
	}
	return strings.NewReplacer("(", "%28", ")", "%29", "<", "%3C", ">", "%3E", "|", "%7C", "`", "%60", `\`, "%5C", " ", "%20").Replace(u.String())
}

// maxURLBytes is above what browsers are given to show.
const maxURLBytes = 2 << 10

// heading is a line of an HTML block, where a backslash escapes nothing: of words
// and of Kubernetes' names all of it is kept.
func heading(text string) string { return harmless(unnamed.ReplaceAllString(oneLine(text), "")) }

// clip is text of at most that many characters, the last one an ellipsis if any
// are left out; between words where that is near.
func clip(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	const near = 20
	cut := most - 1
	for i := cut; i > max(cut-near, 0); i-- {
		if runes[i] == ' ' {
			cut = i
			break
		}
	}
	return strings.TrimRight(string(runes[:cut]), " ,;:") + "…"
}
