//go:build chaos

package main

import (
	"context"

	"github.com/inhaul/inhaul/agent"
)

// around makes every call of a port that reaches out a point where the agent may
// die, before and after it. Methods that are not named here pass through.
func (c *chaos) around(p agent.Ports) agent.Ports {
	p.Registry = dyingRegistry{p.Registry, c}
	p.Apps = dyingApps{p.Apps, c}
	p.Releases = dyingReleases{p.Releases, c}
	p.Planner = dyingPlanner{p.Planner, c}
	p.Cluster = dyingCluster{p.Cluster, c}
	p.Tasks = dyingTasks{p.Tasks, c}
	p.Cleaner = dyingCleaner{p.Cleaner, c}
	p.Drifts = dyingDrifts{p.Drifts, c}
	p.Requests = dyingRequests{p.Requests, c}
	p.Previews = dyingPreviews{p.Previews, c}
	p.Records = dyingRecords{p.Records, c}
	p.Namespaces = dyingNamespaces{p.Namespaces, c}
	if p.Tenancies != nil {
		p.Tenancies = dyingTenancies{p.Tenancies, c}
	}
	p.Witness = dyingWitness{p.Witness, c}
	if p.Checks != nil {
		p.Checks = dyingChecks{p.Checks, c}
	}
	if p.Statuses != nil {
		p.Statuses = dyingStatuses{p.Statuses, c}
	}
	if p.Receipts != nil {
		p.Receipts = dyingReceipts{p.Receipts, c}
	}
	if p.Deployments != nil {
		p.Deployments = dyingDeployments{p.Deployments, c}
	}
	if p.Comments != nil {
		p.Comments = dyingComments{p.Comments, c}
	}
	if p.PullRequests != nil {
		p.PullRequests = dyingPullRequests{p.PullRequests, c}
	}
	if p.OpenPulls != nil {
		p.OpenPulls = dyingOpenPulls{p.OpenPulls, c}
	}
	if p.Spaces != nil {
		p.Spaces = dyingSpaces{p.Spaces, c}
	}
	if p.Rails != nil {
		p.Rails = dyingRails{p.Rails, c}
	}
	return p
}

// at passes a point before a call and returns what passes the one after it.
func (c *chaos) at(method string) func() {
	c.pass(method + ":before")
	return func() { c.pass(method + ":after") }
}

// requests is agent.Requests under another name, for the same reason.
type requests = agent.Requests

// openPulls is agent.OpenPullRequests under another name: it has a method that is called so too.
type openPulls = agent.OpenPullRequests

// apps is agent.Apps under another name: it has a method that is called so too.
type apps = agent.Apps

type (
	dyingRegistry struct {
		agent.Registry
		c *chaos
	}
	dyingApps struct {
		apps
		c *chaos
	}
	dyingReleases struct {
		agent.Releases
		c *chaos
	}
	dyingPlanner struct {
		agent.Planner
		c *chaos
	}
	dyingCluster struct {
		agent.Cluster
		c *chaos
	}
	dyingTasks struct {
		agent.Tasks
		c *chaos
	}
	dyingCleaner struct {
		agent.Cleaner
		c *chaos
	}
	dyingDrifts struct {
		agent.Drifts
		c *chaos
	}
	dyingRequests struct {
		requests
		c *chaos
	}
	dyingPreviews struct {
		agent.Previews
		c *chaos
	}
	dyingRecords struct {
		agent.PreviewReader
		c *chaos
	}
	dyingNamespaces struct {
		agent.Namespaces
		c *chaos
	}
	dyingWitness struct {
		agent.Witness
		c *chaos
	}
	dyingChecks struct {
		agent.Checks
		c *chaos
	}
	dyingStatuses struct {
		agent.Statuses
		c *chaos
	}
	dyingReceipts struct {
		agent.Receipts
		c *chaos
	}
	dyingDeployments struct {
		agent.Deployments
		c *chaos
	}
	dyingComments struct {
		agent.Comments
		c *chaos
	}
	dyingPullRequests struct {
		agent.PullRequests
		c *chaos
	}
	dyingOpenPulls struct {
		openPulls
		c *chaos
	}
	dyingTenancies struct {
		agent.Tenancies
		c *chaos
	}
	dyingSpaces struct {
		agent.Spaces
		c *chaos
	}
	dyingRails struct {
		agent.Rails
		c *chaos
	}
)

func (d dyingRegistry) List(ctx context.Context, repository string) ([]agent.Notice, error) {
	defer d.c.at("List")()
	return d.Registry.List(ctx, repository)
}

func (d dyingRegistry) Fetch(ctx context.Context, repository, tag string) ([]byte, error) {
	defer d.c.at("Fetch")()
	return d.Registry.Fetch(ctx, repository, tag)
}

func (d dyingApps) UpdateApp(ctx context.Context, name string, change func(*agent.AppStatus)) error {
	defer d.c.at("UpdateApp")()
	return d.apps.UpdateApp(ctx, name, change)
}

func (d dyingReleases) CreateRelease(ctx context.Context, r agent.Release) (agent.Release, error) {
	defer d.c.at("CreateRelease")()
	return d.Releases.CreateRelease(ctx, r)
}

func (d dyingReleases) UpdateRelease(ctx context.Context, r agent.Release) (agent.Release, error) {
	defer d.c.at("UpdateRelease")()
	return d.Releases.UpdateRelease(ctx, r)
}

func (d dyingPlanner) Objects(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	defer d.c.at("Objects")()
	return d.Planner.Objects(ctx, r)
}

func (d dyingCluster) Apply(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	defer d.c.at("Apply")()
	return d.Cluster.Apply(ctx, r)
}

func (d dyingCluster) Watch(ctx context.Context, r agent.Release, see func(agent.Observation) bool) error {
	defer d.c.at("Watch")()
	return d.Cluster.Watch(ctx, r, see)
}

func (d dyingTasks) StartTask(ctx context.Context, r agent.Release, kind agent.TaskKind) ([]agent.Object, error) {
	defer d.c.at("StartTask")()
	return d.Tasks.StartTask(ctx, r, kind)
}

func (d dyingTasks) WatchTask(ctx context.Context, r agent.Release, kind agent.TaskKind, see func(agent.PredeployObservation) bool) error {
	defer d.c.at("WatchTask")()
	return d.Tasks.WatchTask(ctx, r, kind, see)
}

func (d dyingCleaner) Prune(ctx context.Context, r agent.Release, gone, kept []agent.Object) ([]agent.Object, error) {
	defer d.c.at("Prune")()
	return d.Cleaner.Prune(ctx, r, gone, kept)
}

func (d dyingCleaner) Trim(ctx context.Context, r agent.Release) error {
	defer d.c.at("Trim")()
	return d.Cleaner.Trim(ctx, r)
}

func (d dyingDrifts) Drifted(ctx context.Context, r agent.Release, policy agent.DriftPolicy, leave func(agent.Object) bool) ([]agent.Drift, error) {
	defer d.c.at("Drifted")()
	return d.Drifts.Drifted(ctx, r, policy, leave)
}

func (d dyingDrifts) Settle(ctx context.Context, r agent.Release, revert, reported []agent.Object) error {
	defer d.c.at("Settle")()
	return d.Drifts.Settle(ctx, r, revert, reported)
}

func (d dyingRequests) Conclude(ctx context.Context, r agent.Request) error {
	defer d.c.at("Conclude")()
	return d.requests.Conclude(ctx, r)
}

func (d dyingPreviews) KeepPreview(ctx context.Context, line agent.Line, change func(*agent.Preview) error) (agent.Preview, error) {
	defer d.c.at("KeepPreview")()
	return d.Previews.KeepPreview(ctx, line, change)
}

func (d dyingPreviews) ForgetPreview(ctx context.Context, p agent.Preview) error {
	defer d.c.at("ForgetPreview")()
	return d.Previews.ForgetPreview(ctx, p)
}

func (d dyingRecords) Preview(line agent.Line) (agent.Preview, bool) {
	defer d.c.at("Preview")()
	return d.PreviewReader.Preview(line)
}

func (d dyingNamespaces) DeleteNamespace(ctx context.Context, p agent.Preview) (string, error) {
	defer d.c.at("DeleteNamespace")()
	return d.Namespaces.DeleteNamespace(ctx, p)
}

func (d dyingWitness) Evidence(ctx context.Context, r agent.Release, q agent.Question) agent.Evidence {
	defer d.c.at("Evidence")()
	return d.Witness.Evidence(ctx, r, q)
}

func (d dyingWitness) Testimony(ctx context.Context, r agent.Release, cause agent.Cause) agent.Cause {
	defer d.c.at("Testimony")()
	return d.Witness.Testimony(ctx, r, cause)
}

func (d dyingChecks) Show(ctx context.Context, check agent.Check) (int64, error) {
	defer d.c.at("Show")()
	return d.Checks.Show(ctx, check)
}

func (d dyingStatuses) ShowStatus(ctx context.Context, status agent.CommitStatus) error {
	defer d.c.at("ShowStatus")()
	return d.Statuses.ShowStatus(ctx, status)
}

func (d dyingReceipts) PublishReceipt(ctx context.Context, r agent.Receipt) error {
	defer d.c.at("PublishReceipt")()
	return d.Receipts.PublishReceipt(ctx, r)
}

func (d dyingDeployments) ShowDeployment(ctx context.Context, deployment agent.Deployment) (int64, error) {
	defer d.c.at("ShowDeployment")()
	return d.Deployments.ShowDeployment(ctx, deployment)
}

func (d dyingComments) ShowComment(ctx context.Context, comment agent.Comment) (int64, error) {
	defer d.c.at("ShowComment")()
	return d.Comments.ShowComment(ctx, comment)
}

func (d dyingPullRequests) HasCommit(ctx context.Context, repository string, number int, commit string) (bool, error) {
	defer d.c.at("HasCommit")()
	return d.PullRequests.HasCommit(ctx, repository, number, commit)
}

func (d dyingOpenPulls) OpenPullRequests(ctx context.Context, repository string) ([]agent.PullRequest, error) {
	defer d.c.at("OpenPullRequests")()
	return d.openPulls.OpenPullRequests(ctx, repository)
}

func (d dyingOpenPulls) PullRequest(ctx context.Context, repository string, number int) (agent.PullRequest, error) {
	defer d.c.at("PullRequest")()
	return d.openPulls.PullRequest(ctx, repository, number)
}

func (d dyingTenancies) ClearNamespace(ctx context.Context, p agent.Preview) (string, error) {
	defer d.c.at("ClearNamespace")()
	return d.Tenancies.ClearNamespace(ctx, p)
}

func (d dyingTenancies) LeaveNamespace(ctx context.Context, p agent.Preview) (bool, error) {
	defer d.c.at("LeaveNamespace")()
	return d.Tenancies.LeaveNamespace(ctx, p)
}

func (d dyingSpaces) PreviewSpaces(ctx context.Context) ([]agent.PreviewSpace, error) {
	defer d.c.at("PreviewSpaces")()
	return d.Spaces.PreviewSpaces(ctx)
}

func (d dyingSpaces) DeleteSpace(ctx context.Context, s agent.PreviewSpace) error {
	defer d.c.at("DeleteSpace")()
	return d.Spaces.DeleteSpace(ctx, s)
}

func (d dyingRails) PutUpRails(ctx context.Context, p agent.Preview) error {
	defer d.c.at("PutUpRails")()
	return d.Rails.PutUpRails(ctx, p)
}
