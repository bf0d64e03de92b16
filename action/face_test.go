package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// agentSummary is what an agent says of a good deploy, in short.
const agentSummary = `**production** answers at https://shop.example.org.

| service | ready | restarts | image |
|---|---|---|---|
| web | 2 of 2 | 0 | ` + "`5b20fe387947`" + ` |

<details><summary>Timeline</summary>

admitted 23:15:03, applied 23:15:04, ready 23:15:16

</details>`

const agentFailure = `**web: nothing listens on port 8080; its log says that it listens on port 3000**

Rolled back to release 11 in 6 s. Release 11 never stopped serving.

**Next:** set port: 3000 in inhaul.yaml.

**Release 12, when it failed**

| service | desired | ready | restarts | image |
|---|---|---|---|---|
| web | 2 | ❌ 0 | 0 | ` + "`5b20fe387947` |"

// face is one story as the job summary tells it.
type face struct {
	name   string
	change func(*world)
}

func faces() []face {
	said := func(conclusion, title, summary, text string) func(time.Duration) (Check, bool, error) {
		return func(time.Duration) (Check, bool, error) {
			return Check{Status: "completed", Conclusion: conclusion, Title: title, Summary: summary, Text: text, URL: "https://github.com/acme/shop/runs/1"}, true, nil
		}
	}
	live := said("success", "Live in 14 s · 1 service · 0123456", agentSummary, `<!-- inhaul: {"release":12,"back":11,"url":"https://shop.example.org"} -->`)
	return []face{
		{"deployed", func(w *world) { w.check = live }},
		{"failed", func(w *world) {
			w.check = said("failure", "web: nothing listens on port 8080 · release 11 still serves", agentFailure, `<!-- inhaul: {"release":12} -->`)
		}},
		{"denied", func(w *world) {
			w.check = said("action_required", "Denied: refs/heads/feature may not deploy to production", "**denied by policy: rule \"main to production\": ref is \"refs/heads/feature\", want \"refs/heads/main\"**\n\nRefused by `policy: ref`. Nothing was changed.\n\n**Next:** ask the platform owner, who keeps the rules in the App resource shop of the cluster.", "")
		}},
		{"superseded", func(w *world) {
			w.check = said("neutral", "Superseded by abc1234", "A newer push, `abc1234`, was admitted before this one.", "")
		}},
		{"no-agent", func(w *world) {
			w.check = func(time.Duration) (Check, bool, error) { return Check{}, false, nil }
		}},
		{"still-going", func(w *world) {
			w.check = func(time.Duration) (Check, bool, error) {
				return Check{Status: "in_progress", Title: "1 of 2 pods ready", URL: "https://github.com/acme/shop/runs/1"}, true, nil
			}
		}},
		{"not-waited-for", func(w *world) { w.env["INPUT_WAIT"] = "false" }},
		{"several-apps", func(w *world) {
			twoOf(w)
			w.check = live
		}},
		{"several-apps-one-failed", func(w *world) {
			twoOf(w)
			w.check = func(after time.Duration) (Check, bool, error) {
				if strings.Contains(w.asked[len(w.asked)-1], "/ api /") {
					return said("failure", "web: nothing listens on port 8080 · release 11 still serves", agentFailure, "")(after)
				}
				return live(after)
			}
		}},
		{"several-apps-one-unchanged", func(w *world) {
			twoOf(w)
			w.programs.changed = []string{"shop/page.html"}
			w.check = live
		}},
		{"several-apps-one-does-not-build", func(w *world) {
			twoOf(w)
			delete(w.files, "shop/Dockerfile")
		}},
		{"build-failed", func(w *world) {
			w.programs.fail = "#9 [4/5] RUN npm ci\n#9 ERROR: exit code: 1\n------\nDockerfile:4\n--------------------\n   4 | >>> RUN npm ci\n--------------------\nERROR: failed to solve: exit code: 1\n"
		}},
		{"mistakes", func(w *world) {
			w.files["inhaul.yaml"].Data = []byte("app: shop\nservices:\n  web:\n    type: web\n    replica: 2\n    memory: 512MB\n    env: {\"A|B\": \"<b>\"}\n")
		}},
		{"no-description", func(w *world) { delete(w.files, "inhaul.yaml") }},
		{"no-id-token", func(w *world) { w.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = "" }},
		{"registry-away", func(w *world) { w.Publish = refusing{} }},
		{"branch-without-environment", func(w *world) { w.env["GITHUB_REF"] = "refs/heads/fix|<b>`x`_[y](z)" }},
		{"refused-event", func(w *world) { w.happens("pull_request_target", nil) }},
		{"refused-environment", func(w *world) {
			w.pulled("opened")
			w.env["INPUT_ENVIRONMENT"] = "production"
		}},
		{"preview", func(w *world) {
			w.pulled("opened")
			w.check = said("success", "Live in 9 s · 1 service · abababa", strings.ReplaceAll(agentSummary, "production", "pr-7"), `<!-- inhaul: {"release":1,"url":"https://pr-7.shop.example.org"} -->`)
		}},
		{"preview-of-a-fork", func(w *world) { w.pulled("opened", fork()) }},
		{"preview-not-wanted", func(w *world) { w.pulled("opened", labels(noPreview)) }},
		{"preview-destroyed", func(w *world) {
			w.pulled("opened")
			deployed(w)
			w.pulled("closed")
			w.check = said("success", "Destroyed in 4 s", "Everything of **pr-7** is gone.", "")
		}},
		{"preview-that-never-was", func(w *world) { w.pulled("closed") }},
		{"another-label", func(w *world) { w.pulled("labeled", labelled("<b>|x")) }},
		{"rolled-back", func(w *world) {
			clear(w.files)
			with(w.env, "GITHUB_EVENT_NAME", "workflow_dispatch", "INPUT_ROLLBACK-TO", "previous", "INPUT_APP", "shop", "INPUT_ENVIRONMENT", "production")
			w.check = said("success", "Rolled back to release 4 in 3 s", "Rollback: release 4 (`abababa`), which was live before.",
				`<!-- inhaul: {"release":7,"back":6,"restored":4,"commit":"`+headCommit+`","image":"`+restoredImage+`"} -->`)
		}},
		{"built", func(w *world) { w.env["INPUT_MODE"] = "build" }},
		{"nothing-to-sign", func(w *world) { with(w.env, "INPUT_MODE", "sign") }},
		{"dry-run", func(w *world) {
			deployed(w)
			w.files["inhaul.yaml"].Data = []byte("app: shop\npredeploy: bin/migrate\nservices:\n  web:\n    type: web\n    replicas: 3\n    domains: [shop.example.org]\n    env: {GREETING: \"a|b `c` <d>\"}\n  nightly:\n    type: job\n    run: bin/clean\n    schedule: 0 3 * * *\n")
			w.env["INPUT_DRY-RUN"] = "true"
		}},
		{"dry-run-of-a-destroy", func(w *world) {
			w.pulled("closed")
			w.env["INPUT_DRY-RUN"] = "true"
		}},
		{"hostile-agent", func(w *world) {
			w.check = said("success", "x | y\n| z | <img src=a> [c](d) @all", "</details></table><h1>broken out</h1>", `<!-- inhaul: {"release":12,"url":"https://shop.example.org/|a"} -->`)
		}},
	}
}

// twoOf makes w a repository of two apps, both changed.
func twoOf(w *world) {
	w.files["inhaul.yaml"].Data = []byte(twoApps)
	w.files["api/Dockerfile"], w.files["shop/Dockerfile"] = w.files["Dockerfile"], w.files["Dockerfile"]
	w.programs.installed = append(w.programs.installed, "git")
	w.programs.changed = []string{"api/main.go", "shop/page.html"}
	w.happens("push", object{"before": headCommit, "repository": object{"pushed_at": 1795389000}})
}

// deployed runs what was there before the story, which starts with a new summary.
func deployed(w *world) {
	if err := w.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Remove(w.env["GITHUB_STEP_SUMMARY"]); err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
}

// TestTheJobSummary compares every story with a file that people look at, and that
// a gallery can show.
func TestTheJobSummary(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, f := range faces() {
		known[f.name+".md"] = true
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.programs.took = func() { w.now = w.now.Add(1234 * time.Millisecond) }
			f.change(w)
			if err := w.Run(t.Context()); ExitCode(err) == exitOurs && f.name != "registry-away" {
				t.Fatalf("%v\n%s", err, w.out)
			}
			body := steady(w.read(t, "GITHUB_STEP_SUMMARY"))
			golden(t, filepath.Join("testdata", "face", f.name+".md"), "kind: summary\nname: "+f.name+"\n===== body\n"+body)
			stands(t, body)
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "face"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[file.Name()] {
			t.Errorf("testdata/face/%s: no story has this name", file.Name())
		}
	}
}

// steady is text with its digests named in the order of their appearance: images
// are random.
func steady(text string) string {
	seen := map[string]string{}
	return regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllStringFunc(text, func(digest string) string {
		if seen[digest] == "" {
			seen[digest] = "sha256:" + strings.Repeat(fmt.Sprintf("%x", len(seen)+1), 64)[:64]
		}
		return seen[digest]
	})
}

// stands checks what keeps a table a table: every row of one has as many cells as
// its head, and no foreign tag is markup.
func stands(t *testing.T, body string) {
	t.Helper()
	bars := func(line string) int {
		return strings.Count(regexp.MustCompile(`\\.`).ReplaceAllString(line, ""), "|")
	}
	head, fenced := 0, false
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		switch {
		case fenced || !strings.HasPrefix(line, "|"):
			head = 0
		case head == 0:
			head = bars(line)
		case bars(line) != head:
			t.Errorf("got %d bars in %q, want %d", bars(line), line, head)
		}
		for _, tag := range regexp.MustCompile(`</?[a-z][^>]*>`).FindAllString(regexp.MustCompile("`[^`]*`").ReplaceAllString(line, ""), -1) {
			if !fenced && !regexp.MustCompile(`^(</?(details|summary)>|<https?://[^>]*>)$`).MatchString(tag) {
				t.Errorf("got the tag %s in %q", tag, line)
			}
		}
	}
	if strings.Count(body, "<details>") != strings.Count(body, "</details>") && !strings.Contains(body, "```text\n</details>") {
		t.Error("a fold is not closed")
	}
}

func TestAnEndlessSummaryIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.summarize(outcome{err: errors.New("x\n" + strings.Repeat("y", 2*maxStepSummary))})
	if got := len(w.read(t, "GITHUB_STEP_SUMMARY")); got < maxStepSummary || got > 1<<20 {
		t.Errorf("got %d bytes, want what GitHub takes", got)
	}
}

// refusing is a registry that is away.
type refusing struct{}

func (refusing) Publish(context.Context, Publication) (string, error) {
	return "", errors.New("publishing to example.com/shop-intents: connection refused")
}
