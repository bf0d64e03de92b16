package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// maxEventBytes is above what GitHub sends: payloads end at 25 MB.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
const maxEventBytes = 32 << 20

// event is what matters of the payload at GITHUB_EVENT_PATH.
type event struct {
	Deleted    bool   `json:"deleted"` // a push that deletes its branch
	Before     string `json:"before"`  // the branch's commit before the push; zeros if there was none
	Action     string `json:"action"`  // of pull_request and release
	Label      label  `json:"label"`   // of labeled and unlabeled
	Repository struct {
		ID       int64           `json:"id"`
		PushedAt json.RawMessage `json:"pushed_at"` // epoch seconds in push events, RFC 3339 elsewhere
	} `json:"repository"`
	HeadCommit struct {
		Timestamp string `json:"timestamp"` // RFC 3339
	} `json:"head_commit"`
	PullRequest struct {
		Number    int     `json:"number"`
		State     string  `json:"state"` // open or closed
		UpdatedAt string  `json:"updated_at"`
		Labels    []label `json:"labels"`
		Head      struct {
			SHA  string `json:"sha"`
			Repo *struct {
				ID int64 `json:"id"`
			} `json:"repo"`
		} `json:"head"`
	} `json:"pull_request"`
	Release struct {
		Target      string `json:"target_commitish"` // the branch that it was made from
		PublishedAt string `json:"published_at"`
	} `json:"release"`
}

type label struct {
	Name string `json:"name"`
}

// readEvent returns the payload; the zero event if there is none, as for a
// workflow that was started by hand outside GitHub.
func (a *Action) readEvent() (event, error) {
	name := a.Getenv("GITHUB_EVENT_NAME")
	if err := refuse(name); err != nil {
		return event{}, err
	}
	var e event
	place := a.Getenv("GITHUB_EVENT_PATH")
	if place == "" {
		return e, nil
	}
	file, err := os.Open(place) //nolint:gosec // because the runner says where its event is
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, fmt.Errorf("reading the event: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read from
	data, err := readAll(file, maxEventBytes)
	if err != nil {
		return e, fmt.Errorf("reading the event: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("reading the event: %w", err)
	}
	return e, nil
}

// at returns when the event happened, by its payload; start where that does not
// tell. A rollback that was issued later than this holds against the deploy, so a
// time in the future is never believed. A schedule brings nothing new: it is as
// old as the repository's last push, so that it undoes no rollback.
func (e event) at(name string, start time.Time) time.Time {
	text := ""
	switch name {
	case "push", "schedule":
		text = strings.Trim(string(e.Repository.PushedAt), `"`)
	case pullRequest:
		text = e.PullRequest.UpdatedAt
	case "release":
		text = e.Release.PublishedAt
	}
	at, err := time.Parse(time.RFC3339, text)
	if seconds, notNumber := strconv.ParseInt(text, 10, 64); notNumber == nil {
		at, err = time.Unix(seconds, 0), nil
	}
	if err != nil && name == "push" {
		at, err = time.Parse(time.RFC3339, e.HeadCommit.Timestamp)
	}
	if err != nil || at.After(start) || at.Unix() <= 0 {
		return start
	}
	return at.UTC().Truncate(time.Millisecond)
}

// readSource returns which run asks. The names are those of the default
// environment variables:
// https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func (a *Action) readSource(e event, start time.Time) (intent.Source, error) {
	var missing []string
	text := func(name string) string {
		v := a.Getenv(name)
		if v == "" {
			missing = append(missing, name)
		}
		return v
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(a.Getenv(name), 10, 64)
		if err != nil {
			missing = append(missing, name)
		}
		return n
	}
	s := intent.Source{
		Repository: text("GITHUB_REPOSITORY"), RepositoryID: number("GITHUB_REPOSITORY_ID"),
		RepositoryOwnerID: number("GITHUB_REPOSITORY_OWNER_ID"),
		Ref:               text("GITHUB_REF"), Commit: text("GITHUB_SHA"), Event: text("GITHUB_EVENT_NAME"),
		WorkflowRef: text("GITHUB_WORKFLOW_REF"), RunID: number("GITHUB_RUN_ID"),
		RunNumber: number("GITHUB_RUN_NUMBER"), RunAttempt: number("GITHUB_RUN_ATTEMPT"),
		Actor: text("GITHUB_ACTOR"), TriggeringActor: a.Getenv("GITHUB_TRIGGERING_ACTOR"),
	}
	if len(missing) > 0 {
		return s, userError("the workflow's environment lacks "+strings.Join(missing, ", "),
			"run this as a step of a GitHub Actions workflow, which sets them")
	}
	s.EventAt = e.at(s.Event, start)
	if s.Event == pullRequest { // whose GITHUB_SHA is a merge that nobody wrote
		s.PullRequest, s.HeadCommit = e.PullRequest.Number, e.PullRequest.Head.SHA
	}
	return s, nil
}

// readSpec reads and parses one inhaul.yaml. fs.ErrNotExist says that there is
// none.
func (a *Action) readSpec(name string) ([]*spec.File, error) {
	file, err := a.Files.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer file.Close() //nolint:errcheck // only read from
	data, err := readAll(file, spec.MaxFileBytes)
	if err != nil {
		return nil, userError("reading "+name+": "+err.Error(), "make the file smaller")
	}
	return spec.ParseAll(name, data)
}

// dockerfile is the path of the build's Dockerfile in the repository.
func dockerfile(config string, b spec.Build) string {
	return path.Join(path.Dir(config), b.Context, b.Dockerfile)
}

// readAll is io.ReadAll with a cap.
func readAll(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("got more than %d bytes", most)
	}
	return data, nil
}
