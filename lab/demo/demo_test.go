package demo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/stage"
)

func TestARedCheckHasToSayWhy(t *testing.T) {
	t.Parallel()
	good := func() stage.CheckRun {
		c := stage.CheckRun{Status: "completed", Conclusion: "failure"}
		c.Output.Title = "web: exit code 1, twice · release 2 still serves"
		c.Output.Summary = "**web: the container ended 2 times, last with exit code 1**\n\n**Next:** read the log below."
		c.Output.Text = "Error: " + lastWords
		return c
	}
	for name, row := range map[string]struct {
		mode   layout.Mode
		change func(*stage.CheckRun)
		faults int
	}{
		"all said":                          {layout.Real, func(*stage.CheckRun) {}, 0},
		"green":                             {layout.Real, func(c *stage.CheckRun) { c.Conclusion = "success" }, 1},
		"still going on":                    {layout.Real, func(c *stage.CheckRun) { c.Status = "in_progress" }, 1},
		"a title without the cause":         {layout.Real, func(c *stage.CheckRun) { c.Output.Title = "Failed" }, 1},
		"a summary without the cause":       {layout.Real, func(c *stage.CheckRun) { c.Output.Summary = "Release 3" }, 2},
		"no log":                            {layout.Real, func(c *stage.CheckRun) { c.Output.Text = "" }, 1},
		"no log of a simulated container":   {layout.Kwok, func(c *stage.CheckRun) { c.Output.Text = "" }, 0},
		"a simulated one without its cause": {layout.Kwok, func(c *stage.CheckRun) { c.Output.Title = "Failed" }, 1},
	} {
		c := good()
		row.change(&c)
		a := &act{name: "push v3", want: "failure", checks: []stage.CheckRun{c}}
		if got := a.faults(row.mode); len(got) != row.faults {
			t.Errorf("%s: got %d faults %q, want %d", name, len(got), got, row.faults)
		}
	}
}

func TestTheProbeFindsFault(t *testing.T) {
	t.Parallel()
	answers := func(versions ...string) (all []string) {
		for _, v := range versions {
			all = append(all, "Welcome to the storefront ("+v+")")
		}
		return all
	}
	for name, row := range map[string]struct {
		probe *probe
		want  string // empty: nothing is wrong
	}{
		"all well":              {&probe{sent: 400, answers: answers("v1", "v2", "v1", "v2", "v1")}, ""},
		"an error":              {&probe{sent: 400, failed: 1, first: errors.New("502"), answers: answers("v1", "v2")}, "1 of 400 requests to the app failed, first with: 502"},
		"the broken one served": {&probe{sent: 400, answers: answers("v1", "v2", "v3", "v1")}, "(v3)"},
		"something else":        {&probe{sent: 400, answers: append(answers("v1", "v2"), "404 page not found")}, "404"},
		"nobody looked":         {&probe{}, "only 0 requests"},
		"v2 was never seen":     {&probe{sent: 400, answers: answers("v1")}, "want v1 and v2 among it"},
	} {
		got := row.probe.faults()
		if row.want == "" && len(got) > 0 || row.want != "" && !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, row.want) }) {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
	}
}
