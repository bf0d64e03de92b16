package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

// checkRun is what GitHub's API shows of a check run.
type checkRun struct {
	Name       string `json:"name"`
	Status     string `json:"status"`
	Conclusion string `json:"conclusion"`
	Output     struct {
		Title   string `json:"title"`
		Summary string `json:"summary"`
		Text    string `json:"text"`
	} `json:"output"`
}

// gitHub is the lab's stand-in, as the job of a repository's workflow sees it.
type gitHub struct {
	address    string
	token      string
	repository string
}

// newGitHub makes the repository known to GitHub, with a run that has a token.
func newGitHub(t *testing.T, repository string, id int64) *gitHub {
	t.Helper()
	g := &gitHub{address: os.Getenv("LAB_GITHUB_URL"), repository: repository}
	var run struct{ Env map[string]string }
	g.ask(t, http.MethodPost, "/_lab/runs", map[string]any{
		"repository": repository, "repositoryID": id, "sha": commit(1), "ref": "refs/heads/main", "event": "push",
		"workflow": ".github/workflows/deploy.yml", "permissions": map[string]string{"contents": "read", "checks": "read"},
	}, &run)
	g.token = run.Env["GITHUB_TOKEN"]
	return g
}

// completed returns the check run of a commit once it is complete, and when that was
// seen.
func (g *gitHub) completed(t *testing.T, commit string, timeout time.Duration) (checkRun, time.Time) {
	t.Helper()
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var list struct {
			CheckRuns []checkRun `json:"check_runs"`
		}
		g.ask(t, http.MethodGet, "/repos/"+g.repository+"/commits/"+commit+"/check-runs", nil, &list)
		if len(list.CheckRuns) == 1 && list.CheckRuns[0].Status == "completed" {
			return list.CheckRuns[0], time.Now()
		}
	}
	t.Fatalf("no check run of %s is complete after %s", commit, timeout)
	return checkRun{}, time.Time{}
}

func (g *gitHub) ask(t *testing.T, method, path string, body, answer any) {
	t.Helper()
	if err := g.try(method, path, body, answer); err != nil {
		t.Fatal(err)
	}
}

func (g *gitHub) try(method, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, g.address+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if g.token != "" {
		request.Header.Set("Authorization", "Bearer "+g.token)
	}
	response, err := (&http.Client{Timeout: adminTimeout}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	data, err = io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, data)
	}
	return json.Unmarshal(data, answer)
}
