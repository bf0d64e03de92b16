package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// github has the lab's GitHub answer every request whose path has PATH in it with a
// status until it answers again, opens or closes a pull request without an event, or prints what was ever shown
// of the story's repository but check runs:
//
//	github refuses PATH STATUS
//	github answers PATH
//	github pull NUMBER HEAD
//	github closes NUMBER
//	github shown
func github(ts *testscript.TestScript, neg bool, args []string) {
	what := strings.Join(args[:min(len(args), 1)], "")
	switch {
	case neg:
		ts.Fatalf("github cannot fail")
	case what == "refuses" && len(args) == 3:
		status, err := strconv.Atoi(args[2])
		ts.Check(err)
		toGitHub(ts, http.MethodPost, "faults", map[string]any{"path": args[1], "status": status, "count": -1})
	case what == "answers" && len(args) == 2:
		toGitHub(ts, http.MethodDelete, "faults?path="+url.QueryEscape(args[1]), nil)
	case what == "pull" && len(args) == 3:
		number, err := strconv.Atoi(args[1])
		ts.Check(err)
		toGitHub(ts, http.MethodPost, "pulls", map[string]any{"repository": ts.Getenv("REPOSITORY"), "pullRequest": number, "headSHA": args[2]})
	case what == "closes" && len(args) == 2:
		number, err := strconv.Atoi(args[1])
		ts.Check(err)
		toGitHub(ts, http.MethodPost, "pulls", map[string]any{"repository": ts.Getenv("REPOSITORY"), "pullRequest": number, "action": "closed"})
	case what == "shown" && len(args) == 1:
		var all []written
		ts.Check(json.Unmarshal(toGitHub(ts, http.MethodGet, "changes", nil), &all))
		for _, w := range all {
			if w.Repository == ts.Getenv("REPOSITORY") && w.Kind != "check" {
				_, _ = fmt.Fprintln(ts.Stdout(), w.Kind, w.State, w.SHA, strings.ReplaceAll(w.Text, "\n", " ")) // in memory
			}
		}
	default:
		ts.Fatalf("usage: github refuses PATH STATUS | answers PATH | pull NUMBER HEAD | closes NUMBER | shown")
	}
}

// toGitHub says something to the stand-in's own endpoints, and returns its answer.
func toGitHub(ts *testscript.TestScript, method, what string, body any) []byte {
	data, err := json.Marshal(body)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, ts.Getenv("LAB_GITHUB_URL")+"/_lab/"+what, bytes.NewReader(data))
	ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close() //nolint:errcheck // only read from
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	ts.Check(err)
	if response.StatusCode >= http.StatusMultipleChoices {
		ts.Fatalf("%s /_lab/%s: got %s %s", method, what, response.Status, answer)
	}
	return answer
}
