package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxOutputBytes bounds summary and text. GitHub says 65,535 characters; counting bytes is right whatever it counts.
	// https://docs.github.com/en/rest/checks/runs#create-a-check-run
	maxOutputBytes = 65535

	// maxTitleBytes is our own: GitHub documents no limit and shows one line.
	maxTitleBytes = 255

	truncated = "… truncated"

	// checkRunsPerPage keeps a page of the largest check runs near maxBodyBytes. One is the usual number.
	checkRunsPerPage = 5

	// maxCheckRunPages covers the 1,000 check runs of one name that GitHub keeps.
	maxCheckRunPages = 1000 / checkRunsPerPage

	// actionsApp is the App that a workflow's GITHUB_TOKEN writes as.
	actionsApp = "github-actions"
)

// CheckRun is what a commit's page shows of one release.
type CheckRun struct {
	ID          int64  // GitHub's; 0 if not known
	Repository  string // owner/name
	HeadSHA     string // full commit
	Name        string
	ExternalID  string // ours: finds the check run again
	Status      string // queued, in_progress or completed
	Conclusion  string // with completed only: success, failure, neutral, cancelled, skipped, timed_out or action_required
	Title       string // one line; Name if empty
	Summary     string // Markdown, longer ones are truncated visibly
	Text        string // Markdown, longer ones are truncated visibly
	DetailsURL  string
	StartedAt   time.Time // zero: left to GitHub
	CompletedAt time.Time // zero: left to GitHub

	// Annotations are sent with the first write that has some; what the check run has then, it keeps: GitHub appends.
	// The first 50 are sent.
	Annotations []Annotation
}

func (r CheckRun) validate() error {
	if _, err := repositoryPath(r.Repository); err != nil {
		return fmt.Errorf("check run: %w", err)
	}
	switch {
	case r.Name == "":
		return errors.New("check run: the name is empty")
	case r.ID == 0 && (r.HeadSHA == "" || r.ExternalID == ""):
		return fmt.Errorf("check run %q: a new one needs the commit and an external id", r.Name)
	case r.Status != "queued" && r.Status != "in_progress" && r.Status != "completed":
		return fmt.Errorf("check run %q: status %q: want queued, in_progress or completed", r.Name, r.Status)
	case (r.Status == "completed") != (r.Conclusion != ""):
		return fmt.Errorf("check run %q: status %q with conclusion %q: want a conclusion exactly when completed", r.Name, r.Status, r.Conclusion)
	case len(r.Annotations) > 0 && r.Title == "" && r.Summary == "":
		return fmt.Errorf("check run %q: annotations need a title or a summary", r.Name)
	}
	for _, a := range r.Annotations {
		if err := a.validate(); err != nil {
			return fmt.Errorf("check run %q: %w", r.Name, err)
		}
	}
	return nil
}

// UpsertCheckRun makes GitHub show run and returns its id. A run without ID is looked up by commit, name and external
// id first, so that calling it again, even after a lost answer, never makes a second one.
//
// It writes what it is given: reopening a completed check run (status queued or in_progress) is the caller's decision.
// Titles, summaries and texts over GitHub's limits end in a visible mark.
// Errors: [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) UpsertCheckRun(ctx context.Context, run CheckRun) (int64, error) {
	if err := run.validate(); err != nil {
		return 0, err
	}
	if run.ID == 0 {
		found, ok, err := c.ownCheckRun(ctx, run)
		if err != nil {
			return 0, fmt.Errorf("looking for check run %q in %s: %w", run.Name, run.Repository, err)
		}
		if ok {
			run.ID = found.ID
		}
	}
	if run.ID == 0 {
		id, earlier, err := c.createCheckRun(ctx, run)
		if err != nil || !earlier {
			return id, err
		}
		run.ID = id
	}
	return run.ID, c.updateCheckRun(ctx, run)
}

const checksWrite = "checks: write"

// createCheckRun returns the id, and whether an earlier try had made it after all.
func (c *Client) createCheckRun(ctx context.Context, run CheckRun) (id int64, earlier bool, err error) {
	path, err := repositoryPath(run.Repository)
	if err != nil {
		return 0, false, err
	}
	id, earlier, err = c.create(ctx, call{
		method: http.MethodPost, path: path + "/check-runs", repository: run.Repository, body: run.json(),
		permission: checksWrite, urgency: run.urgency(),
	}, "check run", func(ctx context.Context) (int64, error) {
		found, _, err := c.ownCheckRun(ctx, run)
		return found.ID, err
	})
	if err != nil {
		return 0, false, fmt.Errorf("creating check run %q in %s: %w", run.Name, run.Repository, err)
	}
	return id, earlier, nil
}

func (c *Client) updateCheckRun(ctx context.Context, run CheckRun) error {
	err := c.annotateCheckRun(ctx, run)
	if errors.Is(err, errAlreadyAnnotated) {
		run.Annotations = nil
		err = c.patchCheckRun(ctx, run, nil)
	}
	if err != nil {
		return fmt.Errorf("updating check run %q in %s: %w", run.Name, run.Repository, err)
	}
	return nil
}

// annotateCheckRun returns errAlreadyAnnotated, and writes nothing, if that would append annotations to others: to its
// own ones, when the answer to a try was lost.
func (c *Client) annotateCheckRun(ctx context.Context, run CheckRun) error {
	if len(run.Annotations) == 0 {
		return c.patchCheckRun(ctx, run, nil)
	}
	check := func(ctx context.Context) error {
		there, err := c.annotated(ctx, run)
		if err == nil && there {
			err = errAlreadyAnnotated
		}
		return err
	}
	if err := check(ctx); err != nil {
		return err
	}
	return c.patchCheckRun(ctx, run, check)
}

func (c *Client) patchCheckRun(ctx context.Context, run CheckRun, recheck func(context.Context) error) error {
	path, err := repositoryPath(run.Repository)
	if err != nil {
		return err
	}
	body := run.json()
	body.HeadSHA = "" // cannot change
	cl := call{
		method: http.MethodPatch, path: path + "/check-runs/" + strconv.FormatInt(run.ID, 10), repository: run.Repository, body: body,
		recheck: recheck, permission: checksWrite, urgency: run.urgency(),
	}
	var updated checkRunJSON
	err = c.do(ctx, cl, &updated)
	if err == nil {
		err = updated.proof()
	}
	return err
}

func (r CheckRun) urgency() urgency {
	if r.Status == "completed" {
		return verdict
	}
	return progress
}

// proof is an error if r, the answer to a write, is no check run; see [madeJSON.proof].
func (r checkRunJSON) proof() error { return madeJSON{ID: r.ID}.proof("check run") }

// FindCheckRun returns the newest check run of that commit, name and external id, whichever App made it, and whether
// there is one. Asking again is cheap: an unchanged answer costs nothing of the rate limit.
// Errors: [RateLimitedError], [APIError].
func (c *Client) FindCheckRun(ctx context.Context, repository, sha, name, externalID string) (CheckRun, bool, error) {
	run := CheckRun{Repository: repository, HeadSHA: sha, Name: name, ExternalID: externalID}
	found, ok, err := c.findCheckRun(ctx, run, func(checkRunJSON) bool { return true })
	if err != nil {
		return CheckRun{}, false, fmt.Errorf("looking for check run %q in %s: %w", name, repository, err)
	}
	return found, ok, nil
}

// ownCheckRun finds only what this client may update: GitHub lets no App write another one's check runs.
func (c *Client) ownCheckRun(ctx context.Context, run CheckRun) (CheckRun, bool, error) {
	return c.findCheckRun(ctx, run, func(r checkRunJSON) bool {
		if c.appID != 0 {
			return r.App.ID == c.appID
		}
		return r.App.Slug == actionsApp
	})
}

func (c *Client) findCheckRun(ctx context.Context, run CheckRun, mine func(checkRunJSON) bool) (CheckRun, bool, error) {
	path, err := repositoryPath(run.Repository)
	if err != nil {
		return CheckRun{}, false, err
	}
	query := url.Values{"check_name": {run.Name}, "filter": {"all"}, "per_page": {strconv.Itoa(checkRunsPerPage)}}
	cl := call{
		method: http.MethodGet, path: path + "/commits/" + url.PathEscape(run.HeadSHA) + "/check-runs",
		repository: run.Repository, query: query, permission: checksWrite,
	}
	for page := 1; page <= maxCheckRunPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var list struct {
			Total     int            `json:"total_count"`
			CheckRuns []checkRunJSON `json:"check_runs"`
		}
		if err := c.do(ctx, cl, &list); err != nil {
			return CheckRun{}, false, err
		}
		var newest checkRunJSON
		for _, r := range list.CheckRuns {
			if r.ExternalID == run.ExternalID && r.Name == run.Name && r.ID > newest.ID && mine(r) {
				newest = r
			}
		}
		if newest.ID != 0 {
			return newest.checkRun(run.Repository), true, nil
		}
		if len(list.CheckRuns) < checkRunsPerPage || page*checkRunsPerPage >= list.Total {
			break
		}
	}
	return CheckRun{}, false, nil
}

// checkRunJSON is GitHub's shape, in both directions; null reads as the zero value.
type checkRunJSON struct {
	ID          int64           `json:"id,omitzero"`
	Name        string          `json:"name"`
	HeadSHA     string          `json:"head_sha,omitempty"`
	ExternalID  string          `json:"external_id,omitempty"`
	DetailsURL  string          `json:"details_url,omitempty"`
	Status      string          `json:"status"`
	Conclusion  string          `json:"conclusion,omitempty"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	CompletedAt time.Time       `json:"completed_at,omitzero"`
	Output      *checkRunOutput `json:"output,omitempty"`
	App         checkRunApp     `json:"app,omitzero"`
}

type checkRunOutput struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
	Text    string `json:"text,omitempty"`

	Annotations []annotationJSON `json:"annotations,omitempty"`       // in requests
	Annotated   int              `json:"annotations_count,omitempty"` // in answers
}

type checkRunApp struct {
	ID   int64  `json:"id"`
	Slug string `json:"slug"`
}

func (r CheckRun) json() checkRunJSON {
	body := checkRunJSON{
		Name: r.Name, HeadSHA: r.HeadSHA, ExternalID: r.ExternalID, DetailsURL: r.DetailsURL,
		Status: r.Status, Conclusion: r.Conclusion,
		StartedAt: r.StartedAt.UTC().Truncate(time.Second), CompletedAt: r.CompletedAt.UTC().Truncate(time.Second),
	}
	if r.Title != "" || r.Summary != "" || r.Text != "" {
		title := r.Title
		if title == "" {
			title = r.Name
		}
		body.Output = &checkRunOutput{
			Title: shown(title, maxTitleBytes), Summary: shown(r.Summary, maxOutputBytes), Text: shown(r.Text, maxOutputBytes),
			Annotations: annotationsJSON(r.Annotations),
		}
	}
	return body
}

// shown makes s valid first, because encoding would, and each repaired byte grows to three.
func shown(s string, limit int) string {
	return cut(strings.ToValidUTF8(s, "\uFFFD"), limit, truncated)
}

func (r checkRunJSON) checkRun(repository string) CheckRun {
	run := CheckRun{
		ID: r.ID, Repository: repository, HeadSHA: r.HeadSHA, Name: r.Name, ExternalID: r.ExternalID,
		Status: r.Status, Conclusion: r.Conclusion, DetailsURL: r.DetailsURL,
		StartedAt: r.StartedAt, CompletedAt: r.CompletedAt,
	}
	if r.Output != nil {
		run.Title, run.Summary, run.Text = r.Output.Title, r.Output.Summary, r.Output.Text
	}
	return run
}
