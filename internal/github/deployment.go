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
)

const (
	// maxDescriptionRunes bounds the description of a deployment's status and of a commit status.
	// https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status
	maxDescriptionRunes = 140

	// deploymentsPerPage keeps a page, some 5 KB a deployment, far below maxBodyBytes.
	deploymentsPerPage = 50

	// maxDeploymentPages bounds the look-up among the deployments of one commit in one environment.
	maxDeploymentPages = 20

	// deploymentStatusesPerPage is far more than one release writes.
	deploymentStatusesPerPage = 50
)

// Deployment is a GitHub deployment with its newest status.
type Deployment struct {
	ID             int64  // GitHub's; 0 if not known
	Repository     string // owner/name
	SHA            string // full commit
	Environment    string // as GitHub shows it
	ExternalID     string // ours, kept in the payload: finds the deployment again
	Description    string // one line, longer ones are cut to 140 characters
	Production     bool
	Transient      bool   // the environment will be gone one day
	State          string // error, failure, inactive, in_progress, queued, pending or success; empty: no status is written
	EnvironmentURL string // where it runs
	LogURL         string
}

func (d Deployment) validate() error {
	if _, err := repositoryPath(d.Repository); err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	states := []string{"", "error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
	switch {
	case d.Environment == "":
		return errors.New("deployment: the environment is empty")
	case d.ID == 0 && (d.SHA == "" || d.ExternalID == ""):
		return fmt.Errorf("deployment to %q: a new one needs the commit and an external id", d.Environment)
	case !slices.Contains(states, d.State):
		return fmt.Errorf("deployment to %q: state %q: want one of %q", d.Environment, d.State, states[1:])
	}
	return nil
}

// UpsertDeployment makes GitHub show d and returns its id. A deployment without ID is looked up by commit, environment
// and external id first, so that calling it again, even after a lost answer, never makes a second one. A status is
// written only if the newest one differs.
//
// It is created whatever other checks of the commit say, and nothing is merged for it. Statuses leave the other
// deployments of the environment alone: the caller says of each one that it is inactive. What a deployment is of, its
// commit, environment and kind, cannot change later. Errors: [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) UpsertDeployment(ctx context.Context, d Deployment) (int64, error) {
	if err := d.validate(); err != nil {
		return 0, err
	}
	d.Description = line(d.Description)
	known := d.ID != 0
	if !known {
		found, err := c.findDeployment(ctx, d)
		if err != nil {
			return 0, fmt.Errorf("looking for the deployment of %s to %q in %s: %w", d.SHA, d.Environment, d.Repository, err)
		}
		d.ID, known = found, found != 0
	}
	if !known {
		id, err := c.createDeployment(ctx, d)
		if err != nil {
			return 0, fmt.Errorf("creating the deployment of %s to %q in %s: %w", d.SHA, d.Environment, d.Repository, err)
		}
		d.ID = id
	}
	if err := c.setDeploymentStatus(ctx, d, known); err != nil {
		return d.ID, fmt.Errorf("setting the status of deployment %d to %q in %s: %w", d.ID, d.Environment, d.Repository, err)
	}
	return d.ID, nil
}

const deploymentsWrite = "deployments: write"

// findDeployment returns 0 if there is none. Any App may write the statuses of a deployment, so it does not matter whose it is.
func (c *Client) findDeployment(ctx context.Context, d Deployment) (int64, error) {
	path, err := repositoryPath(d.Repository)
	if err != nil {
		return 0, err
	}
	query := url.Values{"sha": {d.SHA}, "environment": {d.Environment}, "per_page": {strconv.Itoa(deploymentsPerPage)}}
	var found int64
	for page, more := 1, true; more && page <= maxDeploymentPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var list []deploymentJSON
		cl := call{method: http.MethodGet, path: path + "/deployments", repository: d.Repository, query: query, permission: deploymentsWrite, more: &more, precedes: true}
		if err := c.do(ctx, cl, &list); err != nil {
			return 0, err
		}
		for _, one := range list {
			// The oldest, if ever there are two: all callers then agree on one.
			if one.SHA == d.SHA && one.Environment == d.Environment && one.externalID() == d.ExternalID && (found == 0 || one.ID < found) {
				found = one.ID
			}
		}
		more = more || len(list) >= deploymentsPerPage
	}
	return found, nil
}

func (c *Client) createDeployment(ctx context.Context, d Deployment) (int64, error) {
	path, err := repositoryPath(d.Repository)
	if err != nil {
		return 0, err
	}
	payload, err := json.Marshal(deploymentPayload{ExternalID: d.ExternalID})
	if err != nil {
		return 0, err
	}
	body := newDeploymentJSON{
		Ref: d.SHA, AutoMerge: false, RequiredContexts: []string{}, Payload: payload, Environment: d.Environment,
		Description: d.Description, Transient: d.Transient, Production: d.Production,
	}
	id, _, err := c.create(ctx, call{
		method: http.MethodPost, path: path + "/deployments", repository: d.Repository, body: body, permission: deploymentsWrite,
	}, "deployment", func(ctx context.Context) (int64, error) { return c.findDeployment(ctx, d) })
	return id, err
}

// setDeploymentStatus adds a status, unless the newest one says the same; a deployment that was not known has none.
func (c *Client) setDeploymentStatus(ctx context.Context, d Deployment, known bool) error {
	if d.State == "" {
		return nil
	}
	path, err := repositoryPath(d.Repository)
	if err != nil {
		return err
	}
	path += "/deployments/" + strconv.FormatInt(d.ID, 10) + "/statuses"
	want := deploymentStatusJSON{State: d.State, Description: d.Description, EnvironmentURL: d.EnvironmentURL, LogURL: d.LogURL}
	check := func(ctx context.Context) error {
		newest, err := c.newestDeploymentStatus(ctx, d.Repository, path)
		if err != nil {
			return err
		}
		if newest.ID != 0 && newest.same(want) {
			return errAlreadyCreated
		}
		return nil
	}
	if known {
		if err := check(ctx); err != nil {
			return unlessThere(err)
		}
	}
	want.AutoInactive = new(false)
	var created madeJSON
	cl := call{method: http.MethodPost, path: path, repository: d.Repository, body: want, recheck: check, permission: deploymentsWrite}
	err = c.do(ctx, cl, &created)
	if err == nil {
		err = created.proof("deployment status")
	}
	return unlessThere(err)
}

// newestDeploymentStatus has no ID if there is none. GitHub lists the newest ones first, which it does not promise.
func (c *Client) newestDeploymentStatus(ctx context.Context, repository, path string) (deploymentStatusJSON, error) {
	query := url.Values{"per_page": {strconv.Itoa(deploymentStatusesPerPage)}}
	var list []deploymentStatusJSON
	cl := call{method: http.MethodGet, path: path, repository: repository, query: query, permission: deploymentsWrite, precedes: true}
	if err := c.do(ctx, cl, &list); err != nil {
		return deploymentStatusJSON{}, err
	}
	var newest deploymentStatusJSON
	for _, status := range list {
		if status.ID > newest.ID {
			newest = status
		}
	}
	return newest, nil
}

// newDeploymentJSON has no omitempty: GitHub's defaults are to merge and to wait for every other check.
type newDeploymentJSON struct {
	Ref              string          `json:"ref"`
	AutoMerge        bool            `json:"auto_merge"`
	RequiredContexts []string        `json:"required_contexts"`
	Payload          json.RawMessage `json:"payload"`
	Environment      string          `json:"environment"`
	Description      string          `json:"description"`
	Transient        bool            `json:"transient_environment"`
	Production       bool            `json:"production_environment"`
}

type deploymentPayload struct {
	ExternalID string `json:"external_id"`
}

type deploymentJSON struct {
	ID          int64           `json:"id"`
	SHA         string          `json:"sha"`
	Environment string          `json:"environment"`
	Payload     json.RawMessage `json:"payload"` // an object, or text that may hold one
}

// externalID is empty for what we did not make.
func (d deploymentJSON) externalID() string {
	payload := []byte(d.Payload)
	var inText string
	if json.Unmarshal(payload, &inText) == nil {
		payload = []byte(inText)
	}
	var ours deploymentPayload
	if json.Unmarshal(payload, &ours) != nil {
		return ""
	}
	return ours.ExternalID
}

type deploymentStatusJSON struct {
	ID             int64  `json:"id,omitzero"`
	State          string `json:"state"`
	Description    string `json:"description"`
	EnvironmentURL string `json:"environment_url,omitempty"`
	LogURL         string `json:"log_url,omitempty"`
	AutoInactive   *bool  `json:"auto_inactive,omitempty"`
}

func (s deploymentStatusJSON) same(want deploymentStatusJSON) bool {
	return s.State == want.State && s.Description == want.Description && s.EnvironmentURL == want.EnvironmentURL && s.LogURL == want.LogURL
}

// line is s as one line of at most maxDescriptionRunes.
func line(s string) string {
	return cutRunes(oneLine(s), maxDescriptionRunes)
}
