package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/inhaul/inhaul/spec"
)

// basis says in words what the plan is compared with. mark shows a name.
func (p plan) basis(mark func(string) string) string {
	switch {
	case !p.asked:
		return "compared with nothing: all is new"
	case p.against == nil:
		return "where nothing serves yet: all is new"
	}
	r := p.against.Spec
	basis := fmt.Sprintf("compared with release %d", r.Number)
	if r.Environment != p.environment {
		basis += " in " + mark(cut(r.Environment))
	}
	if r.ShortCommit != "" {
		basis += " (" + mark(cut(r.ShortCommit)) + ")"
	}
	return basis
}

// result counts the changes in words.
func (p plan) result() string {
	count := map[spec.ChangeKind]int{}
	for _, c := range p.changes {
		count[c.Kind]++
	}
	result := fmt.Sprintf("%d added, %d changed, %d removed", count[spec.Added], count[spec.Changed], count[spec.Removed])
	if len(p.changes) == 0 {
		result = "no changes"
	}
	if !p.image && p.against != nil {
		result += "; images are not compared without --image"
	}
	return result
}

// text is for a terminal.
func text(plans []plan) string {
	var b strings.Builder
	for i, p := range plans {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s in %s, %s\n\n", p.app, p.environment, p.basis(visible))
		width := 0
		for _, c := range p.changes {
			width = max(width, utf8.RuneCountInString(visible(c.Path)))
		}
		for _, c := range p.changes {
			sign, value := c.Words(visible)
			fmt.Fprintf(&b, "%s %-*s  %s\n", sign, width, visible(c.Path), value)
		}
		if len(p.changes) > 0 {
			b.WriteString("\n")
		}
		b.WriteString(p.result() + "\n")
	}
	return b.String()
}

// visible is text in one line that cannot move the cursor or turn letters
// around: quoted if it is empty or anything in it does not print.
func visible(text string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if text == "" || strings.ContainsFunc(text, unprintable) {
		return strconv.Quote(text)
	}
	return text
}

// cut keeps a name from a foreign file at a sane length.
func cut(name string) string { return name[:min(len(name), maxName)] }

// maxName is how long the name of an environment may be.
const maxName = 63
