package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	pullsPerPage = 30

	// maxPulls bounds what is read of one repository; see [Client.OpenPullRequests].
	maxPulls = 3000

	// maxListBytes bounds a page of what strangers write: pull requests and comments, each with a body of up to 65,536
	// characters, at 30 a page.
	maxListBytes = 16 << 20

	pullRequestsWrite = "pull_requests: write"
)

// PullRequest is what previews need to know of a pull request.
type PullRequest struct {
	Number       int
	RepositoryID int64  // of the one that it is for; 0: not told
	State        string // open or closed
	Merged       bool
	HeadSHA      string
	Labels       []string
	UpdatedAt    time.Time
	ClosedAt     time.Time // or merged; zero while it is open
	Fork         bool      // its commits are of another repository, or of one that is gone
}

// PullRequestHas reports whether a commit belongs to pull request number of repository. A commit that GitHub does not
// know belongs to none. Errors: [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) PullRequestHas(ctx context.Context, repository string, number int, sha string) (bool, error) {
	path, err := repositoryPath(repository)
	if err != nil {
		return false, err
	}
	if sha == "" {
		return false, errors.New("pull requests of a commit: the commit is empty")
	}
	found := false
	err = c.pulls(ctx, repository, path+"/commits/"+url.PathEscape(sha)+"/pulls", nil, func(pr pullJSON) bool {
		found = found || pr.Number == number
		return !found
	})
	if refused, ok := errors.AsType[*APIError](err); ok && refused.Status == http.StatusUnprocessableEntity {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("listing the pull requests of %s in %s: %w", sha, repository, err)
	}
	return found, nil
}

// OpenPullRequests returns the open pull requests of a repository, oldest first. Asking again is cheap: unchanged pages
// cost nothing of the rate limit. More than 3,000 are an error rather than half of the truth.
//
// A pull request that is closed while the pages are read moves the others up: one that is missing may still be open.
// Whoever acts on that asks [Client.PullRequest] first. Errors: [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) OpenPullRequests(ctx context.Context, repository string) ([]PullRequest, error) {
	path, err := repositoryPath(repository)
	if err != nil {
		return nil, err
	}
	var open []PullRequest
	query := url.Values{"state": {"open"}, "sort": {"created"}, "direction": {"asc"}}
	err = c.pulls(ctx, repository, path+"/pulls", query, func(pr pullJSON) bool {
		// One that was opened while the pages are read can come twice.
		if !slices.ContainsFunc(open, func(other PullRequest) bool { return other.Number == pr.Number }) {
			open = append(open, pr.pullRequest())
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("listing the open pull requests of %s: %w", repository, err)
	}
	return open, nil
}

// PullRequest returns pull request number of a repository, open or not. Asking again is cheap: an unchanged answer
// costs nothing of the rate limit. One that is not there is an [APIError] with status 404.
// Errors: [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) PullRequest(ctx context.Context, repository string, number int) (PullRequest, error) {
	path, err := repositoryPath(repository)
	if err != nil {
		return PullRequest{}, err
	}
	var found pullJSON
	cl := call{
		method: http.MethodGet, path: path + "/pulls/" + strconv.Itoa(number), repository: repository, permission: pullRequestsWrite,
		maxBytes: maxListBytes, slim: slimmed[pullJSON],
	}
	err = c.do(ctx, cl, &found)
	if err == nil && found.Number != number {
		err = errors.New("the answer is no pull request")
	}
	if err != nil {
		return PullRequest{}, fmt.Errorf("looking up pull request %d of %s: %w", number, repository, err)
	}
	return found.pullRequest(), nil
}

// pulls hands every pull request of a list to see, until that returns false.
func (c *Client) pulls(ctx context.Context, repository, path string, query url.Values, see func(pullJSON) bool) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("per_page", strconv.Itoa(pullsPerPage))
	for page, more := 1, true; more; page++ {
		if page > maxPulls/pullsPerPage {
			return fmt.Errorf("there are more than %d", maxPulls)
		}
		query.Set("page", strconv.Itoa(page))
		var list []pullJSON
		cl := call{
			method: http.MethodGet, path: path, repository: repository, query: query, permission: pullRequestsWrite,
			maxBytes: maxListBytes, slim: slimmed[[]pullJSON], more: &more,
		}
		if err := c.do(ctx, cl, &list); err != nil {
			return err
		}
		for _, pr := range list {
			if !see(pr) {
				return nil
			}
		}
		more = more || len(list) >= pullsPerPage
	}
	return nil
}

// slimmed keeps of an answer what T has: a pull request comes with two whole repositories.
func slimmed[T any](body []byte) ([]byte, error) {
	var kept T
	if err := json.Unmarshal(body, &kept); err != nil {
		return nil, err
	}
	return json.Marshal(kept)
}

// pullJSON is the needed part of GitHub's shape.
type pullJSON struct {
	Number    int         `json:"number"`
	State     string      `json:"state"`
	MergedAt  *time.Time  `json:"merged_at"`
	ClosedAt  *time.Time  `json:"closed_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	Labels    []labelJSON `json:"labels"`
	Head      pullEndJSON `json:"head"`
	Base      pullEndJSON `json:"base"`
}

type labelJSON struct {
	Name string `json:"name"`
}

type pullEndJSON struct {
	SHA        string         `json:"sha"`
	Repository *pullOwnerJSON `json:"repo"` // null: it is gone
}

type pullOwnerJSON struct {
	ID int64 `json:"id"`
}

func (j pullJSON) pullRequest() PullRequest {
	pr := PullRequest{Number: j.Number, State: j.State, Merged: j.MergedAt != nil, HeadSHA: j.Head.SHA, UpdatedAt: j.UpdatedAt}
	if j.ClosedAt != nil {
		pr.ClosedAt = *j.ClosedAt
	}
	if j.Base.Repository != nil {
		pr.RepositoryID = j.Base.Repository.ID
	}
	for _, label := range j.Labels {
		pr.Labels = append(pr.Labels, label.Name)
	}
	pr.Fork = j.Head.Repository == nil || j.Base.Repository == nil || j.Head.Repository.ID != j.Base.Repository.ID
	return pr
}
