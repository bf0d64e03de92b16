package gallery

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const check = `kind: check
name: inhaul / production
status: completed
conclusion: failure
title: Failed: web: nothing listens
annotation: inhaul.yaml:9 failure nothing listens. Next: set port

===== summary
**nothing listens**

===== text
| a | b |
|---|---|
| 1 | 2 |
`

func TestAGoldenFileIsRead(t *testing.T) {
	t.Parallel()
	got, err := Parse(check)
	if err != nil {
		t.Fatal(err)
	}
	want := Story{
		Kind:        "check",
		Fields:      map[string]string{"name": "inhaul / production", "status": "completed", "conclusion": "failure", "title": "Failed: web: nothing listens"},
		Sections:    map[string]string{"summary": "**nothing listens**\n", "text": "| a | b |\n|---|---|\n| 1 | 2 |\n"},
		Annotations: []Annotation{{Path: "inhaul.yaml", Line: 9, Level: "failure", Message: "nothing listens. Next: set port"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("story (-want +got):\n%s", diff)
	}
}

func TestWhatGitHubWouldNotTakeIsAMistake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, want string }{
		"an unknown kind":             {"kind: check", "kind: chek", `kind: got "chek"`},
		"no kind":                     {"kind: check\n", "", `kind: got ""`},
		"an unknown key":              {"name: ", "colour: red\nname: ", "colour: a check has none"},
		"a key twice":                 {"name: ", "name: x\nname: ", "name is there twice"},
		"a line that is no key":       {"name: ", "hello\nname: ", `line 2: got "hello"`},
		"no title":                    {"title: Failed: web: nothing listens\n", "", "title: a check needs it"},
		"no conclusion":               {"conclusion: failure\n", "", `conclusion: got ""`},
		"a conclusion before the end": {"status: completed", "status: queued", `conclusion: got "failure" of a check that is queued`},
		"an unknown conclusion":       {"conclusion: failure", "conclusion: bad", `conclusion: got "bad"`},
		"an unknown status":           {"status: completed", "status: done", `state of a check: got "done"`},
		"an unknown section":          {"===== text", "===== body", `section "body": a check has none`},
		"a section twice":             {"===== text", "===== summary", `section "summary" is there twice`},
		"no summary":                  {"===== summary", "===== text\nx\n===== summary\n", `section "text" is there twice`},
		"an empty summary":            {"**nothing listens**", "", `section "summary": a check needs it`},
		"a summary that is too long":  {"**nothing listens**", strings.Repeat("é", maxText+1), "GitHub takes 65535"},
		"an annotation without line":  {"inhaul.yaml:9 failure", "inhaul.yaml failure", "want PATH:LINE LEVEL MESSAGE"},
		"an annotation's level":       {"inhaul.yaml:9 failure", "inhaul.yaml:9 error", "want PATH:LINE LEVEL MESSAGE"},
		"too many annotations":        {"annotation: ", strings.Repeat("annotation: a:1 notice b\n", maxAnnotations) + "annotation: ", "got 51 annotations"},
	} {
		text := strings.Replace(check, c.from, c.to, 1)
		if text == check {
			t.Errorf("%s: the test changes nothing", name)
		}
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	long := "kind: status\nname: x\nstate: success\ndescription: " + strings.Repeat("x", maxDescription+1)
	if _, err := Parse(long); err == nil || !strings.Contains(err.Error(), "GitHub takes 140") {
		t.Errorf("a long description: got %v", err)
	}
}

func TestOnlyWhatGitHubLeavesInIsRendered(t *testing.T) {
	t.Parallel()
	m := NewMarkdown()
	for source, want := range map[string]string{
		"a<script>alert(1)</script>b":                       "<p>ab</p>",
		"<img src=x onerror=alert(1)>":                      `<img src="x">`,
		"[x](javascript:alert(1))":                          "<p>x</p>",
		"<p style='position:fixed' class=y onclick=z>a</p>": "<p>a</p>",
		"<iframe src=https://example.com></iframe>":         "",
		"<!-- hidden -->a":                                  "a",
		"~~a~~":                                             "<p><del>a</del></p>",
		"<kbd>a</kbd><sub>b</sub>":                          "<p><kbd>a</kbd><sub>b</sub></p>",
		"https://example.com":                               `<p><a href="https://example.com" rel="nofollow">https://example.com</a></p>`,
	} {
		got, err := m.Text(source)
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: got %s, %v, want %s", source, got, err, want)
		}
	}
	for source, parts := range map[string][]string{
		"- [x] a": {`type="checkbox"`, "checked"},
		"<details open><summary>a</summary>\n\n```\n<b>\n```\n\n</details>": {`<details open=""><summary>a</summary>`, "&lt;b&gt;"},
		"| a |\n|---|\n| 1 |": {"<table>", "<td>1</td>"},
	} {
		got, err := m.Text(source)
		for _, part := range parts {
			if err != nil || !strings.Contains(string(got), part) {
				t.Errorf("%s: got %s, %v, want %s", source, got, err, part)
			}
		}
	}
	if got, err := m.Comment("a\nb"); err != nil || !strings.Contains(string(got), "<br>") && !strings.Contains(string(got), "<br/>") {
		t.Errorf("a comment's line ends: got %s, %v", got, err)
	}
}

// Every golden file is one that GitHub would take, and has its place on the page.
func TestEveryGoldenFileIsShown(t *testing.T) {
	t.Parallel()
	stories, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) == 0 {
		t.Fatal("there is no golden file below agent/testdata/face and action/testdata/face")
	}
	var out bytes.Buffer
	view := View{Title: "all", Groups: Groups(stories), Stories: stories, Shown: stories, Together: true}
	if err := view.Write(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, s := range stories {
		if !strings.Contains(page, `<section id="`+s.ID()+`">`) || !strings.Contains(page, `href="#`+s.ID()+`"`) {
			t.Errorf("%s is not on the page", s.ID())
		}
		if s.Kind != "summary" && s.Kind != "comment" && strings.HasSuffix(string(icon(s.Look())), "></svg>") && s.Look() == "none" {
			t.Errorf("%s: %q has no icon", s.ID(), s.State())
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the page's template escaped what it should not")
	}
}
