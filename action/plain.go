package action

import (
	"html"
	"regexp"
	"strings"
)

// maxPlainLines is how much of a summary a log shows; what matters comes first.
const maxPlainLines = 8

// nextMark begins the agent's own word on what to do next.
const nextMark = "**Next:** "

// The Markdown that a log does not show.
var (
	linked    = regexp.MustCompile(`\[((?:[^\[\]\\]|\\.)*)\]\([^()\s]*\)`)
	escapedBy = regexp.MustCompile("\\\\([!-/:-@\\[-`{-~])")
)

// plainLines is what a summary of the agent says before its first table, code block
// or fold, as lines for a log: what happened and what was done, and what to do next.
func plainLines(summary string) (said []string, next string) {
	for line := range strings.Lines(summary) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|"), strings.HasPrefix(line, "```"), strings.HasPrefix(line, "<"):
			return said, next
		case strings.HasPrefix(line, nextMark):
			next = strings.TrimSuffix(plainLine(strings.TrimPrefix(line, nextMark)), ".")
			return said, next
		case line == "", len(said) == maxPlainLines:
		default:
			said = append(said, plainLine(line))
		}
	}
	return said, next
}

// plainLine is a line of Markdown as plain text that people can copy from, and that
// no runner obeys.
func plainLine(markdown string) string {
	text := linked.ReplaceAllString(markdown, "$1")
	text = strings.ReplaceAll(text, "**", "")
	text = html.UnescapeString(escapedBy.ReplaceAllString(text, "$1"))
	return quiet(strings.ReplaceAll(line(text), "\u200b", ""))
}
