package action

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/inhaul/inhaul/intent"
)

// line is foreign text as one line of plain text.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Bidi_Control, r): // would show other text than there is
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// cell is foreign text in one cell of a table: it is neither markup nor markdown.
func cell(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "#", `\#`, "!", `\!`,
		"<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "&#64;").Replace(line(text))
}

// link is an address in a cell, which is one because webAddress took it.
func link(address string) string {
	if address == "" {
		return ""
	}
	return "<" + strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E", " ", "%20").Replace(line(address)) + ">"
}

// code is foreign text as a code span in a cell, where only a backtick and a bar
// mean something.
func code(text string) string {
	if text = strings.TrimSpace(line(text)); text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(strings.ReplaceAll(text, "`", "'"), "|", `\|`) + "`"
}

// prose is a message of ours, which may quote foreign text, as a paragraph: code
// spans stay, nothing else is markup.
func prose(text string) string {
	parts := strings.Split(line(text), "`")
	for i := range parts {
		if i%2 == 0 || len(parts)%2 == 0 {
			parts[i] = strings.NewReplacer("[", `\[`, "]", `\]`, "*", `\*`, "_", `\_`, "#", `\#`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "&#64;").Replace(parts[i])
		}
	}
	if len(parts)%2 == 0 {
		return strings.Join(parts, "\\`")
	}
	return strings.Join(parts, "`")
}

// message is prose and, where there is more than one line, the rest as it stands.
func message(text string) string {
	first, rest, more := strings.Cut(strings.TrimSpace(text), "\n")
	if !more {
		return stopped(sentence(prose(first))) + "\n"
	}
	return sentence(prose(first)) + "\n\n" + fenced(rest)
}

// fenced is foreign text of several lines in a block of its own.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + strings.TrimRight(strings.ToValidUTF8(text, "?"), "\n") + "\n" + fence + "\n"
}

// contained is the agent's Markdown, which stands inside of ours: it closes only
// what it has opened, and its headings do not outgrow ours.
func contained(markdown string) string {
	depth, lower := 0, strings.ToLower(markdown)
	for at := 0; at < len(lower) && depth >= 0; at++ {
		switch {
		case strings.HasPrefix(lower[at:], "<details"):
			depth++
		case strings.HasPrefix(lower[at:], "</details"):
			depth--
		}
	}
	if depth != 0 || strings.Count(lower, "<!--") > strings.Count(lower, "-->") || strings.Count(markdown, "```")%2 != 0 {
		return fenced(markdown)
	}
	return strings.TrimRight(markdown, "\n") + "\n"
}

// fold hides body behind a line that opens it.
func fold(title, body string) string {
	return "<details><summary>" + title + "</summary>\n\n" + strings.TrimRight(body, "\n") + "\n\n</details>\n"
}

// rows is a table of two columns; what is empty is left out.
type rows struct{ text strings.Builder }

func (r *rows) add(name, value string) {
	if value == "" {
		return
	}
	if r.text.Len() == 0 {
		r.text.WriteString("| what | |\n|---|---|\n")
	}
	r.text.WriteString("| **" + name + "** | " + value + " |\n")
}

func (r *rows) String() string { return r.text.String() }

// planMarkdown is what a dry run found.
func planMarkdown(plans []planned) string {
	var b strings.Builder
	for i, p := range plans {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(p.markdown())
	}
	return b.String()
}

func (p planned) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#### %s → %s\n\n", cell(p.app.Name), cell(p.environment))
	var facts rows
	facts.add("What", cell(p.does))
	facts.add("Image", cell(p.image))
	facts.add("Compared with", cell(p.against))
	b.WriteString(facts.String())
	if p.kind != intent.Deploy {
		return b.String()
	}
	if len(p.changes) == 0 {
		b.WriteString("\nThe description does not change.\n")
	} else {
		b.WriteString("\n| how | what | change |\n|---|---|---|\n")
	}
	for i, c := range p.changes {
		if i == maxPlanRows {
			fmt.Fprintf(&b, "\n%d more changes are in the log.\n", len(p.changes)-i)
			break
		}
		sign, value := c.Words(code)
		fmt.Fprintf(&b, "| %s | %s | %s |\n", sign, code(c.Path), value)
	}
	var services strings.Builder
	services.WriteString("| name | type | replicas | CPU | memory | where or when |\n|---|---|---|---|---|---|\n")
	for _, row := range meaning(p.app) {
		for i := range row {
			row[i] = cell(row[i])
		}
		services.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	b.WriteString("\n" + fold("What the file means in "+cell(p.environment), services.String()))
	return b.String()
}
