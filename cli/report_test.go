package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/spec"
)

func TestCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"a word", "web", "`web`"},
		{"nothing", "", "`\"\"`"},
		{"a column", "a|b", "`a\\|b`"},
		{"a code span", "`id`", "`` `id` ``"},
		{"longer fences", "a``b", "```a``b```"},
		{"a space at the end", "a ", "` a  `"},
		{"two lines", "a\nb", "`\"a\\nb\"`"},
		{"colours", "\x1b[31mred", "`\"\\x1b[31mred\"`"},
		{"letters turned around", "a\u202eb", "`\"a\\u202eb\"`"},
		{"broken text", "a\xffb", "`\"a\\xffb\"`"},
		{"a mention", "@everyone <b>", "`@everyone <b>`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := code(c.text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	t.Parallel()
	long := func(name string, changes int) plan {
		p := plan{app: name, environment: "production"}
		for i := range changes {
			p.changes = append(p.changes, spec.Change{Path: fmt.Sprintf("services.web.env.%04d", i), New: strings.Repeat("|", 60), Kind: spec.Added})
		}
		return p
	}
	for _, c := range []struct {
		name  string
		plans []plan
		want  []string
	}{
		{"one app", []plan{long("a", 3000)}, []string{"services.web.env.0000", "more changes do not fit here", "3000 added, 0 changed, 0 removed."}},
		{"two apps", []plan{long("a", 3000), long("b", 3000)}, []string{"### Plan: `a`", "### Plan: `b`"}},
		{"a small one leaves its room to the next", []plan{long("a", 1), long("b", 300)}, []string{"300 added", "services.web.env.0299"}},
		{"a path that never fits", []plan{{changes: []spec.Change{{Path: strings.Repeat("x", maxMarkdown), Kind: spec.Added}}}}, []string{"\n1 more changes do not fit here"}},
		{"very many apps", make([]plan, 1000), []string{"more apps do not fit here"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := markdown(c.plans)
			if len(got) > maxMarkdown {
				t.Errorf("got %d bytes, want at most %d", len(got), maxMarkdown)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got no %q in\n%.400s ...", want, got)
				}
			}
		})
	}
}

func TestMarkdownLosesNoChange(t *testing.T) {
	t.Parallel()
	p := plan{changes: make([]spec.Change, 5000)}
	rows, left := 0, 0
	for line := range strings.Lines(markdown([]plan{p})) {
		if strings.HasPrefix(line, "| `") || strings.HasPrefix(line, "|  |") {
			rows++
		}
		if strings.Contains(line, "more changes") {
			if _, err := fmt.Sscan(line, &left); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rows == 0 || left == 0 || rows+left != len(p.changes) {
		t.Errorf("got %d rows and %d left out, want %d in all", rows, left, len(p.changes))
	}
}
