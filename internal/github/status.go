package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// contextsPerPage is GitHub's most; a combined status has one small entry per context.
	contextsPerPage = 100
	maxContextPages = 10

	statusesWrite = "statuses: write"

	// tooManyStatuses is in GitHub's words about the 1,000 statuses that a context of a commit may have.
	// https://docs.github.com/en/rest/commits/statuses#create-a-commit-status
	tooManyStatuses = "maximum number of statuses"
)

// ErrTooManyStatuses says that a commit has 1,000 statuses of that context, which is all that GitHub takes. It is there
// for good: the newest of them stays as it is.
var ErrTooManyStatuses = errors.New("the commit can have no more statuses of that context")

// CommitStatus is the newest status of one context of a commit.
type CommitStatus struct {
	Repository  string // owner/name
	SHA         string // full commit
	Context     string // GitHub does not tell upper from lower case
	State       string // error, failure, pending or success
	Description string // one line, longer ones are cut to 140 characters
	TargetURL   string
}

func (s CommitStatus) validate() error {
	if _, err := repositoryPath(s.Repository); err != nil {
		return fmt.Errorf("commit status: %w", err)
	}
	states := []string{"error", "failure", "pending", "success"}
	switch {
	case s.Context == "" || s.SHA == "":
		return fmt.Errorf("commit status: got context %q of commit %q, want both", s.Context, s.SHA)
	case !slices.Contains(states, s.State):
		return fmt.Errorf("commit status %q: state %q: want one of %q", s.Context, s.State, states)
	}
	return nil
}

// UpsertStatus makes s the newest status of its commit and context, unless it is already, so that calling it again,
// even after a lost answer, adds none. Errors: [ErrTooManyStatuses], [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) UpsertStatus(ctx context.Context, s CommitStatus) error {
	if err := s.validate(); err != nil {
		return err
	}
	s.Description = line(s.Description)
	if err := c.setStatus(ctx, s); err != nil {
		return fmt.Errorf("setting status %q of %s in %s: %w", s.Context, s.SHA, s.Repository, err)
	}
	return nil
}

func (c *Client) setStatus(ctx context.Context, s CommitStatus) error {
	path, err := repositoryPath(s.Repository)
	if err != nil {
		return err
	}
	check := func(ctx context.Context) error {
		newest, err := c.newestStatus(ctx, s)
		if err != nil {
			return err
		}
		if newest.same(s) {
			return errAlreadyCreated
		}
		return nil
	}
	if err := check(ctx); err != nil {
		return unlessThere(err)
	}
	var created madeJSON
	cl := call{
		method: http.MethodPost, path: path + "/statuses/" + url.PathEscape(s.SHA), repository: s.Repository, recheck: check,
		permission: statusesWrite, urgency: s.urgency(),
		body: statusJSON{State: s.State, Context: s.Context, Description: s.Description, TargetURL: s.TargetURL},
	}
	err = c.do(ctx, cl, &created)
	if refused, ok := errors.AsType[*APIError](err); ok && refused.Status == http.StatusUnprocessableEntity &&
		strings.Contains(strings.ToLower(refused.Message), tooManyStatuses) {
		return fmt.Errorf("%w: %w", ErrTooManyStatuses, err)
	}
	if err == nil {
		err = created.proof("commit status")
	}
	return unlessThere(err)
}

func (s CommitStatus) urgency() urgency {
	if s.State == "pending" {
		return progress
	}
	return verdict
}

// unlessThere takes away the error which says that there is nothing left to do.
func unlessThere(err error) error {
	if errors.Is(err, errAlreadyCreated) {
		return nil
	}
	return err
}

// newestStatus looks into the combined status, which has the newest one of each context.
func (c *Client) newestStatus(ctx context.Context, s CommitStatus) (statusJSON, error) {
	path, err := repositoryPath(s.Repository)
	if err != nil {
		return statusJSON{}, err
	}
	query := url.Values{"per_page": {strconv.Itoa(contextsPerPage)}}
	for page, more := 1, true; more && page <= maxContextPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var combined struct {
			Statuses []statusJSON `json:"statuses"`
		}
		cl := call{
			method: http.MethodGet, path: path + "/commits/" + url.PathEscape(s.SHA) + "/status", repository: s.Repository, query: query,
			permission: statusesWrite, more: &more,
		}
		if err := c.do(ctx, cl, &combined); err != nil {
			return statusJSON{}, err
		}
		for _, one := range combined.Statuses {
			if strings.EqualFold(one.Context, s.Context) {
				return one, nil
			}
		}
		more = more || len(combined.Statuses) >= contextsPerPage
	}
	return statusJSON{}, nil
}

// statusJSON is GitHub's shape, in both directions.
type statusJSON struct {
	State       string `json:"state"`
	Context     string `json:"context"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url,omitempty"`
}

func (j statusJSON) same(s CommitStatus) bool {
	return j.State == s.State && j.Description == s.Description && j.TargetURL == s.TargetURL
}
