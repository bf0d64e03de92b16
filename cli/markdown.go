package cli

import (
	"fmt"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

const (
	// maxMarkdown is what a comment may have, with room for what is put around
	// it: GitHub takes 65,536 characters. Bytes are counted, which are never
	// fewer.
	maxMarkdown = 65_000
	// minTable is the least that is worth a table of its own.
	minTable = 1_000
)

// markdown is for a comment: a table for each app. What does not fit is
// counted.
func markdown(plans []plan) string {
	var b strings.Builder
	for i, p := range plans {
		share := (maxMarkdown - b.Len()) / (len(plans) - i)
		if share < minTable {
			fmt.Fprintf(&b, "\n%d more apps do not fit here: `inhaul plan` shows them.\n", len(plans)-i)
			break
		}
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(p.table(share - len("\n")))
	}
	return b.String()
}

// table is one app's part of a comment, in at most limit bytes.
func (p plan) table(limit int) string {
	const left = "\n%d more changes do not fit here: `inhaul plan` shows them.\n"
	foot := "\n" + sentence(p.result())
	limit -= len(foot) + len(left) + len("1000000")
	var b strings.Builder
	fmt.Fprintf(&b, "### Plan: %s in %s\n\n%s", code(p.app), code(p.environment), sentence(p.basis(code)))
	if len(p.changes) > 0 {
		b.WriteString("\n| | what | now | then |\n|---|---|---|---|\n")
	}
	for i, c := range p.changes {
		row := row(c)
		if b.Len()+len(row) > limit {
			fmt.Fprintf(&b, left, len(p.changes)-i)
			break
		}
		b.WriteString(row)
	}
	return b.String() + foot
}

// row is a change in a table; a side that is not there stays empty.
func row(c spec.Change) string {
	now, then := code(c.Old), code(c.New)
	switch c.Kind {
	case spec.Added:
		now = ""
	case spec.Removed:
		then = ""
	case spec.Changed:
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", c.Kind, code(c.Path), now, then)
}

// code is text as a code span in a table, where nothing in it is a mention, a
// link or markup: https://github.github.com/gfm/#tables-extension-.
func code(text string) string {
	text = strings.ReplaceAll(visible(text), "|", `\|`)
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") || strings.TrimSpace(text) != text {
		text = " " + text + " " // taken off again by whoever renders it
	}
	return fence + text + fence
}

// sentence makes words a line with a capital letter and a full stop.
func sentence(words string) string { return strings.ToUpper(words[:1]) + words[1:] + ".\n" }
