package github

import (
	"net/http"
	"strings"
	"testing"
)

func TestRunNumbersAreOfEachWorkflow(t *testing.T) {
	t.Parallel()
	st := start(t)
	for i, want := range []struct{ workflow, number string }{
		{".github/workflows/deploy.yml", "1"},
		{".github/workflows/look.yml", "1"},
		{".github/workflows/look.yml", "2"},
		{".github/workflows/deploy.yml", "2"},
	} {
		if got := st.run(object("workflow", want.workflow))["GITHUB_RUN_NUMBER"]; got != want.number {
			t.Errorf("run %d, of %s: got number %s, want %s", i, want.workflow, got, want.number)
		}
	}
	if got := st.run(`{"repository":"acme/other"}`)["GITHUB_RUN_NUMBER"]; got != "1" {
		t.Errorf("another repository: got number %s, want 1", got)
	}
	st.restart()
	if got := st.run(`{}`)["GITHUB_RUN_NUMBER"]; got != "3" {
		t.Errorf("after a restart: got number %s, want 3", got)
	}
}

func TestAReRunIsOfTheSameCommitRefAndEvent(t *testing.T) {
	t.Parallel()
	st := start(t)
	first := st.run(`{"runID":9,"event":"workflow_dispatch","ref":"refs/heads/develop","actor":"mona","sha":"` + testSHA + `"}`)
	for name, body := range map[string]string{
		"another commit":     object("runID", 9, "sha", strings.Repeat("ab", 20)),
		"another ref":        object("runID", 9, "ref", "refs/heads/main"),
		"another event":      object("runID", 9, "event", "push"),
		"another workflow":   object("runID", 9, "workflow", ".github/workflows/other.yml"),
		"another repository": object("runID", 9, "repository", "acme/other"),
		"another number":     object("runID", 9, "runNumber", 7),
	} {
		if status, _, answer := st.ask(http.MethodPost, "/_lab/runs", "", body); status != http.StatusUnprocessableEntity || !strings.Contains(string(answer), "a re-run of run 9 has") {
			t.Errorf("%s: got %d %s, want 422 and what the run has", name, status, answer)
		}
	}
	second := st.run(`{"runID":9,"triggeringActor":"hubot"}`)
	for _, name := range []string{"GITHUB_SHA", "GITHUB_REF", "GITHUB_EVENT_NAME", "GITHUB_RUN_NUMBER", "GITHUB_WORKFLOW_REF", "GITHUB_ACTOR", "GITHUB_REPOSITORY_ID"} {
		if second[name] != first[name] {
			t.Errorf("%s: got %q, want %q as the first attempt has", name, second[name], first[name])
		}
	}
	if second["GITHUB_RUN_ATTEMPT"] != "2" || second["GITHUB_TRIGGERING_ACTOR"] != "hubot" {
		t.Errorf("got attempt %s by %s, want 2 by hubot", second["GITHUB_RUN_ATTEMPT"], second["GITHUB_TRIGGERING_ACTOR"])
	}
}
