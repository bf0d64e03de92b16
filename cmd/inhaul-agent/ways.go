package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/internal/github"
)

// maxLimitWait is how long a report waits for GitHub's rate limit in its place.
// After that it makes room for reports of other accounts, and comes back.
const maxLimitWait = 5 * time.Second

// ways are those that the settings turn on.
func (s settings) ways() []agent.Way {
	var on agent.Ports
	if s.githubAppID != 0 {
		on.Checks, on.Deployments, on.Comments = app{}, app{}, app{}
	}
	if s.githubTokenFile != "" {
		on.Statuses = token{}
	}
	if s.receipts {
		on.Receipts = &receipts{}
	}
	return on.Ways()
}

// waysOut are the ports of the ways that the settings turn on. leads is asked before
// every write.
func waysOut(s settings, meter github.Meter, leads func() error, logger *slog.Logger) (agent.Ports, error) {
	var out agent.Ports
	logger = logger.With("component", "github")
	pace := github.Pace{MaxWait: maxLimitWait}
	if s.githubTokenFile != "" {
		t := token{&tokenClient{file: s.githubTokenFile, config: github.TokenConfig{
			BaseURL: s.githubURL, Logger: logger, Now: time.Now, Pace: pace, Meter: meter, MayWrite: leads,
		}}}
		asked := pullRequests{t.client, logger}
		out.Statuses, out.PullRequests, out.OpenPulls = t, asked, asked
	}
	if s.githubAppID != 0 {
		key, err := github.ParsePrivateKey(s.githubAppKey)
		if err != nil {
			return out, fmt.Errorf("reading INHAUL_GITHUB_APP_KEY_FILE: %w", err)
		}
		client, err := github.NewApp(github.AppConfig{
			BaseURL: s.githubURL, AppID: s.githubAppID, PrivateKey: key, Logger: logger, Now: time.Now, Pace: pace, Meter: meter, MayWrite: leads,
		})
		if err != nil {
			return out, err
		}
		out.Checks, out.Deployments, out.Comments = app{client}, app{client}, app{client}
		asked := pullRequests{func() (*github.Client, error) { return client, nil }, logger}
		out.PullRequests, out.OpenPulls = asked, asked
	}
	if len(s.ways()) == 0 {
		logger.Warn("no way out is configured: verdicts stay in the cluster")
	}
	return out, nil
}

// app is what is written as a GitHub App.
type app struct{ client *github.Client }

var (
	_ agent.Checks      = app{}
	_ agent.Deployments = app{}
	_ agent.Comments    = app{}
)

// Show says ErrNoCommit for what another try will not mend.
func (a app) Show(ctx context.Context, check agent.Check) (int64, error) {
	run := github.CheckRun{
		ID: check.ID, Repository: check.Repository, HeadSHA: check.Commit, Name: check.Name, ExternalID: check.ExternalID,
		Status: string(check.Status), Conclusion: string(check.Conclusion), Title: check.Title, Summary: check.Summary,
		Text: check.Text, DetailsURL: check.DetailsURL, StartedAt: check.StartedAt, CompletedAt: check.CompletedAt,
	}
	for _, annotation := range check.Annotations {
		run.Annotations = append(run.Annotations, github.Annotation(annotation))
	}
	id, err := a.client.UpsertCheckRun(ctx, run)
	return id, final(err, "/check-runs")
}

// ShowDeployment says ErrNoCommit for what another try will not mend.
func (a app) ShowDeployment(ctx context.Context, d agent.Deployment) (int64, error) {
	deployment := github.Deployment{
		ID: d.ID, Repository: d.Repository, SHA: d.Commit, Environment: d.Environment, ExternalID: d.Intent,
		Description: d.Description, Production: d.Production, Transient: d.Transient, State: string(d.State),
		EnvironmentURL: d.URL, LogURL: d.LogURL,
	}
	id, err := a.client.UpsertDeployment(ctx, deployment)
	// One that somebody has deleted is made anew, unless it is over: GitHub takes the one
	// that was made last for what runs.
	if d.ID != 0 && d.State != agent.DeploymentInactive && gone(err, fmt.Sprintf("/deployments/%d/statuses", d.ID)) {
		deployment.ID = 0
		id, err = a.client.UpsertDeployment(ctx, deployment)
	}
	return id, final(err, "/deployments")
}

// ShowComment says ErrNoCommit for what another try will not mend.
func (a app) ShowComment(ctx context.Context, c agent.Comment) (int64, error) {
	id, err := a.client.UpsertComment(ctx, github.Comment{
		ID: c.ID, Repository: c.Repository, Issue: c.PullRequest, Marker: c.Marker, Body: c.Body,
	})
	return id, final(err, "/issues/")
}

// token is what is written with a plain token.
type token struct{ *tokenClient }

var _ agent.Statuses = token{}

// ShowStatus says ErrNoCommit for what another try will not mend.
func (t token) ShowStatus(ctx context.Context, s agent.CommitStatus) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	err = client.UpsertStatus(ctx, github.CommitStatus{
		Repository: s.Repository, SHA: s.Commit, Context: s.Context, State: s.State, Description: s.Description, TargetURL: s.URL,
	})
	if errors.Is(err, github.ErrTooManyStatuses) {
		return fmt.Errorf("%w: %w", agent.ErrNoCommit, err)
	}
	return final(err, "/statuses/", "/status")
}

// pullRequests asks GitHub.
type pullRequests struct {
	client func() (*github.Client, error)
	logger *slog.Logger
}

var (
	_ agent.PullRequests     = pullRequests{}
	_ agent.OpenPullRequests = pullRequests{}
)

// HasCommit says ErrNotPermitted where GitHub may not be asked: what is of a pull
// request is then reported on the commit that was deployed.
func (p pullRequests) HasCommit(ctx context.Context, repository string, number int, commit string) (bool, error) {
	client, err := p.client()
	if err != nil {
		return false, err
	}
	has, err := client.PullRequestHas(ctx, repository, number, commit)
	if errors.Is(err, github.ErrNotPermitted) {
		p.logger.Warn("pull requests are reported on their merge commits", "repository", repository, "error", err)
		return false, fmt.Errorf("%w: %w", agent.ErrNotPermitted, err)
	}
	return has, err
}

// OpenPullRequests says ErrNoRepository of what GitHub does not show: a repository that
// is gone, one in which the App is not installed any more, and one that the token may
// not see are the same to it.
func (p pullRequests) OpenPullRequests(ctx context.Context, repository string) ([]agent.PullRequest, error) {
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	open, err := client.OpenPullRequests(ctx, repository)
	pulls := make([]agent.PullRequest, 0, len(open))
	for _, pull := range open {
		pulls = append(pulls, pullOf(pull))
	}
	return pulls, unseen(err)
}

// PullRequest says ErrNoRepository of what GitHub does not show.
func (p pullRequests) PullRequest(ctx context.Context, repository string, number int) (agent.PullRequest, error) {
	client, err := p.client()
	if err != nil {
		return agent.PullRequest{}, err
	}
	pull, err := client.PullRequest(ctx, repository, number)
	return pullOf(pull), unseen(err)
}

func pullOf(pull github.PullRequest) agent.PullRequest {
	return agent.PullRequest{
		Number: pull.Number, RepositoryID: pull.RepositoryID, Open: pull.State == "open", ClosedAt: pull.ClosedAt, Labels: pull.Labels,
	}
}

// unseen makes an ErrNoRepository of a 404.
func unseen(err error) error {
	if gone(err, "") {
		return fmt.Errorf("%w: %w", agent.ErrNoRepository, err)
	}
	return err
}

// gone reports whether GitHub has nothing at a path that ends so.
func gone(err error, end string) bool {
	refused, ok := errors.AsType[*github.APIError](err)
	return ok && refused.Status == http.StatusNotFound && strings.HasSuffix(refused.Path, end)
}

// forGood are in GitHub's words about what cannot be written to while it is so: "Unable
// to create comment because issue is locked.", "Repository was archived so is
// read-only." The other refusals with 403 have reasons that somebody may mend.
func forGood() []string { return []string{"is locked", "was archived"} }

// final makes an ErrNoCommit of GitHub's refusal for good of something at a path
// that has one of kinds in it: its repository, commit, pull request or itself is
// gone, or closed to everybody. That the App is not installed there, a 404 too, somebody may be about to
// mend, and so it is with a right that is missing, ErrNotPermitted.
func final(err error, kinds ...string) error {
	if errors.Is(err, github.ErrNotPermitted) {
		return fmt.Errorf("%w: %w", agent.ErrNotPermitted, err)
	}
	refused, ok := errors.AsType[*github.APIError](err)
	if !ok {
		return err
	}
	switch refused.Status {
	case http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity:
	case http.StatusForbidden:
		if !slices.ContainsFunc(forGood(), func(words string) bool { return strings.Contains(refused.Message, words) }) {
			return err
		}
	default:
		return err
	}
	for _, kind := range kinds {
		if strings.Contains(refused.Path, kind) {
			return fmt.Errorf("%w: %w", agent.ErrNoCommit, err)
		}
	}
	return err
}
