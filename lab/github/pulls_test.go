package github

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	product "github.com/inhaul/inhaul/internal/github"
)

// event is the part of a pull request's payload that matters.
type event struct {
	Action      string
	Number      int
	PullRequest struct {
		Number int
		State  string
		Merged bool
		Draft  bool
		Labels []struct{ Name string }
		Head   struct {
			Ref, SHA string
			Repo     struct {
				ID       int64
				FullName string `json:"full_name"`
				Fork     bool
			}
		}
		Base struct{ Ref, SHA string }
	} `json:"pull_request"`
}

func (st *stand) pullRun(body string) (map[string]string, event) {
	st.Helper()
	var answer struct {
		Env   map[string]string
		Event event
	}
	st.lab("POST", "/_lab/runs", body, &answer)
	return answer.Env, answer.Event
}

func TestARunOfAPullRequestMakesIt(t *testing.T) {
	t.Parallel()
	st := start(t)
	st.run(`{"sha":"` + testSHA + `"}`)
	for _, row := range []struct {
		body                 string
		action, state, ref   string
		merged, newHead, run bool // run: of the merge commit
		labels               int
	}{
		{`{"pullRequest":3}`, "opened", "open", "refs/pull/3/merge", false, true, true, 0},
		{`{"pullRequest":3,"action":"labeled","labels":["a","preview"]}`, "labeled", "open", "refs/pull/3/merge", false, false, true, 2},
		{`{"pullRequest":3}`, "synchronize", "open", "refs/pull/3/merge", false, true, true, 2},
		{`{"pullRequest":3,"headSHA":"` + pullHead + `","sha":"` + strings.Repeat("ab", 20) + `"}`, "synchronize", "open", "refs/pull/3/merge", false, true, false, 2},
		{`{"pullRequest":3,"event":"pull_request_target"}`, "synchronize", "open", "refs/heads/main", false, true, false, 2},
		{`{"pullRequest":3,"action":"closed"}`, "closed", "closed", "refs/pull/3/merge", false, false, true, 2},
		{`{"pullRequest":3,"action":"reopened"}`, "reopened", "open", "refs/pull/3/merge", false, false, true, 2},
		{`{"pullRequest":3,"action":"closed","merged":true,"labels":[]}`, "closed", "closed", "refs/heads/main", true, false, true, 0},
	} {
		before := ""
		if pr := st.server.pull("acme/storefront", "3"); pr != nil {
			before = pr.headSHA()
		}
		env, e := st.pullRun(row.body)
		pr := e.PullRequest
		if e.Action != row.action || e.Number != 3 || pr.Number != 3 || pr.State != row.state || pr.Merged != row.merged || len(pr.Labels) != row.labels {
			t.Errorf("%s: got %+v, want %+v", row.body, e, row)
		}
		if env["GITHUB_REF"] != row.ref || env["GITHUB_HEAD_REF"] != "change-3" || env["GITHUB_BASE_REF"] != "main" || env["ACTIONS_ID_TOKEN_REQUEST_URL"] == "" {
			t.Errorf("%s: got environment %v, want ref %s", row.body, env, row.ref)
		}
		if merge := st.server.pull("acme/storefront", "3").MergeSHA; (env["GITHUB_SHA"] == merge) != row.run || env["GITHUB_SHA"] == pr.Head.SHA || (pr.Head.SHA != before) != row.newHead {
			t.Errorf("%s: got commit %s, head %s after %s, merge commit %s", row.body, env["GITHUB_SHA"], pr.Head.SHA, before, merge)
		}
	}
	if status, _, answer := st.ask("POST", "/_lab/runs", "", `{"pullRequest":3,"action":"reopened"}`); status != http.StatusUnprocessableEntity {
		t.Errorf("got %d %s for what is merged, want 422", status, answer)
	}
	if status, _, answer := st.ask("POST", "/_lab/runs", "", `{"pullRequest":3,"action":"exploded"}`); status != http.StatusUnprocessableEntity {
		t.Errorf("got %d %s for an unknown action, want 422", status, answer)
	}
}

func TestAReRunOfAPullRequestHasTheSameEvent(t *testing.T) {
	t.Parallel()
	st := start(t)
	first, before := st.pullRun(`{"pullRequest":4,"runID":99,"labels":["preview"]}`)
	again, after := st.pullRun(`{"runID":99}`)
	if again["GITHUB_SHA"] != first["GITHUB_SHA"] || again["GITHUB_RUN_ATTEMPT"] != "2" || after.Action != before.Action || after.PullRequest.Head.SHA != before.PullRequest.Head.SHA {
		t.Errorf("got %+v in %v, want %+v again", after, again, before)
	}
}

func TestARunOfAForkGetsNothingToMisuse(t *testing.T) {
	t.Parallel()
	st := start(t)
	for name, row := range map[string]struct {
		event  string
		strict bool
	}{"pull_request": {"pull_request", true}, "pull_request_target": {"pull_request_target", false}} {
		env, e := st.pullRun(`{"pullRequest":5,"fork":true,"event":"` + row.event + `","permissions":{"checks":"write","contents":"read"}}`)
		head := e.PullRequest.Head.Repo
		if !head.Fork || head.FullName != "stranger/storefront" || head.ID == 0 {
			t.Errorf("%s: got %+v, want a fork", name, head)
		}
		status, _, answer := st.ask("POST", "/repos/acme/storefront/check-runs", env["GITHUB_TOKEN"], object("name", "a", "head_sha", testSHA))
		if (status == http.StatusForbidden) != row.strict || (env["ACTIONS_ID_TOKEN_REQUEST_URL"] == "") != row.strict {
			t.Errorf("%s: got %d %s and %q for ID tokens, want neither: %t", name, status, answer, env["ACTIONS_ID_TOKEN_REQUEST_URL"], row.strict)
		}
	}
	pr, err := st.app().PullRequest(t.Context(), "acme/storefront", 5)
	if err != nil || !pr.Fork {
		t.Errorf("got %+v, %v, want a fork", pr, err)
	}
	st.noViolations()
}

func TestTheProductsClientKnowsPullRequests(t *testing.T) {
	t.Parallel()
	st := start(t)
	c := st.app()
	for i := range 65 {
		st.lab("POST", "/_lab/pulls", fmt.Sprintf(`{"pullRequest":%d,"labels":["preview"]}`, i+1), nil)
	}
	st.lab("POST", "/_lab/pulls", `{"pullRequest":7,"headSHA":"`+pullHead+`"}`, nil)
	st.lab("POST", "/_lab/pulls", `{"pullRequest":9,"action":"closed","merged":true}`, nil)
	st.lab("POST", "/_lab/pulls", `{"pullRequest":1,"repository":"acme/other"}`, nil)
	numbers := func() (list []int) {
		open, err := c.OpenPullRequests(t.Context(), "acme/storefront")
		if err != nil {
			t.Fatal(err)
		}
		for _, pr := range open {
			if pr.State != "open" || pr.Merged || pr.Fork || !slices.Equal(pr.Labels, []string{"preview"}) || pr.HeadSHA == "" || pr.UpdatedAt.IsZero() {
				t.Errorf("got %+v", pr)
			}
			list = append(list, pr.Number)
		}
		return list
	}
	if got := numbers(); len(got) != 64 || slices.Contains(got, 9) || !slices.IsSorted(got) || got[63] != 65 {
		t.Errorf("got %v, want all of 65 but 9", got)
	}
	used := func() int {
		var list []loggedRequest
		st.lab("GET", "/_lab/requests", "", &list)
		return len(slices.DeleteFunc(list, func(r loggedRequest) bool { return r.Status == http.StatusNotModified }))
	}
	before := used()
	if got := numbers(); len(got) != 64 || used() != before {
		t.Errorf("got %d, with %d more requests that cost something, want 64 and none", len(got), used()-before)
	}
	if pr, err := c.PullRequest(t.Context(), "acme/storefront", 9); err != nil || !pr.Merged || pr.State != "closed" {
		t.Errorf("got %+v, %v, want a merged one", pr, err)
	}
	for number, want := range map[int]bool{7: true, 8: false} {
		for _, sha := range []string{pullHead, strings.Repeat("0", 40), "nonsense"} {
			has, err := c.PullRequestHas(t.Context(), "acme/storefront", number, sha)
			if err != nil || has != (want && sha == pullHead) {
				t.Errorf("%d has %s: got %t, %v", number, sha, has, err)
			}
		}
	}
	st.noViolations()
}

// TestTheLastFullPageHidesNothing: a list that grows past a full page leaves that page, and its ETag, as they are.
func TestTheLastFullPageHidesNothing(t *testing.T) {
	t.Parallel()
	st := start(t)
	c := st.app()
	for i := range 31 {
		st.lab("POST", "/_lab/pulls", fmt.Sprintf(`{"pullRequest":%d}`, i+1), nil)
		if i < 29 {
			continue
		}
		if open, err := c.OpenPullRequests(t.Context(), "acme/storefront"); err != nil || len(open) != i+1 {
			t.Errorf("got %d, %v, want %d", len(open), err, i+1)
		}
	}
	var pr product.PullRequest
	if pr, _ = c.PullRequest(t.Context(), "acme/storefront", 31); pr.Number != 31 {
		t.Errorf("got %+v, want 31", pr)
	}
}
