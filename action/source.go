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
	Repository struct {
		PushedAt json.RawMessage `json:"pushed_at"` // epoch seconds in push events, RFC 3339 elsewhere
	} `json:"repository"`
	HeadCommit struct {
		Timestamp string `json:"timestamp"` // RFC 3339
	} `json:"head_commit"`
}

// readEvent returns the payload; the zero event if there is none, as for a
// workflow that was started by hand outside GitHub.
func (a *Action) readEvent() (event, error) {
	name := a.Getenv("GITHUB_EVENT_NAME")
	if name != "push" && name != "workflow_dispatch" {
		return event{}, userError(fmt.Sprintf("the event %q cannot be deployed", name),
			"run the workflow `on: push` or `on: workflow_dispatch`")
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

// at returns when the event happened, by its payload. Only a push says so;
// everything else happened just before start. A rollback that was issued later
// than this holds against the deploy, so a time in the future is never believed.
func (e event) at(name string, start time.Time) time.Time {
	if name != "push" {
		return start
	}
	text := strings.Trim(string(e.Repository.PushedAt), `"`)
	at, err := time.Parse(time.RFC3339, text)
	if seconds, notNumber := strconv.ParseInt(text, 10, 64); notNumber == nil {
		at, err = time.Unix(seconds, 0), nil
	}
	if err != nil {
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
