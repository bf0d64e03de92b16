package cluster

import (
	"fmt"
	"strings"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// maxSummary is as long as the schema lets an App's summary be.
const maxSummary = 1024

// domainApp is the app that o declares. It shares nothing with o that either of
// them could change.
func domainApp(o *v1alpha1.App) agent.App {
	o = o.DeepCopy()
	return agent.App{
		Name:    o.Name,
		Intents: o.Spec.Intents,
		Images:  o.Spec.Images,
		Signers: each(o.Spec.Signers, func(s v1alpha1.Signer) agent.Signer { return agent.Signer(s) }),
		Rules:   each(o.Spec.Rules, func(r v1alpha1.Rule) agent.Rule { return agent.Rule(r) }),
		Environments: each(o.Spec.Environments, func(e v1alpha1.Environment) agent.Environment {
			return agent.Environment{
				Name: e.Name, Namespace: e.Namespace, Production: e.Production, URL: e.URL,
				Domains: e.Domains, Routing: agent.Routing(e.Routing), Drift: agent.DriftPolicy(e.Drift),
			}
		}),
		PreviewPolicy: domainPreviewPolicy(o.Spec.Previews),

		History: o.Spec.History,
		Status:  domainAppStatus(o.Status),
	}
}

func domainAppStatus(o v1alpha1.AppStatus) agent.AppStatus {
	o = *o.DeepCopy()
	return agent.AppStatus{
		Problem: o.Problem,
		Lines:   each(o.Lines, domainMarks),
		Refusals: each(o.Refusals, func(r v1alpha1.Refusal) agent.Refusal {
			return agent.Refusal{
				Line:   agent.Line{App: r.App, Environment: r.Environment},
				Intent: r.Intent, Tag: r.Tag, IssuedAt: plainTime(r.IssuedAt),
				Superseded: r.Superseded, SupersededBy: r.SupersededBy, Rule: r.Rule, Message: r.Message, At: plainTime(r.At),
				Repository: r.Repository, RepositoryID: r.RepositoryID, Commit: r.Commit, HeadCommit: r.HeadCommit, PullRequest: r.PullRequest, RunID: r.RunID,
				Reported: each(r.Reported, func(way string) agent.Way { return agent.Way(way) }),
			}
		}),
	}
}

func domainMarks(l v1alpha1.LineMarks) agent.LineMarks {
	return agent.LineMarks{
		Environment: l.Environment, LastNumber: l.LastNumber, LastIssuedAt: plainTime(l.LastIssuedAt), LastRunID: l.LastRunID,
		Workflows: l.Workflows, LastRollbackAt: plainTime(l.LastRollbackAt), LastRollbackBy: l.LastRollbackBy,
		Current: l.Current, ForgottenBefore: plainTime(l.ForgottenBefore),
	}
}

func marksResource(l agent.LineMarks) v1alpha1.LineMarks {
	return v1alpha1.LineMarks{
		Environment: l.Environment, LastNumber: l.LastNumber, LastIssuedAt: micro(l.LastIssuedAt), LastRunID: l.LastRunID,
		Workflows: l.Workflows, LastRollbackAt: micro(l.LastRollbackAt), LastRollbackBy: l.LastRollbackBy,
		Current: l.Current, ForgottenBefore: micro(l.ForgottenBefore),
	}
}

// appStatusResource is s within the bounds of the schema: the newest refusals
// stay.
func appStatusResource(s agent.AppStatus) v1alpha1.AppStatus {
	return v1alpha1.AppStatus{
		Problem: cut(s.Problem, v1alpha1.MaxMessage),
		Summary: summary(s.Lines),
		Lines:   each(s.Lines, marksResource),
		Refusals: each(s.Refusals[max(0, len(s.Refusals)-v1alpha1.MaxRefusals):], func(r agent.Refusal) v1alpha1.Refusal {
			return v1alpha1.Refusal{
				App: cut(r.Line.App, maxName), Environment: cut(r.Line.Environment, maxName),
				Intent: r.Intent, Tag: cut(r.Tag, maxTag), IssuedAt: micro(r.IssuedAt),
				Superseded: r.Superseded, SupersededBy: r.SupersededBy, Rule: cut(r.Rule, maxTag), Message: cut(r.Message, v1alpha1.MaxMessage),
				At: micro(r.At), Repository: cut(r.Repository, maxRepository), RepositoryID: r.RepositoryID,
				Commit: r.Commit, HeadCommit: r.HeadCommit, PullRequest: r.PullRequest, RunID: r.RunID,
				Reported: each(r.Reported, func(way agent.Way) string { return string(way) }),
			}
		}),
	}
}

// As long as the schema lets texts in a refusal be: they are what a stranger
// wrote.
const (
	maxName       = 1024
	maxTag        = 256
	maxRepository = 512
)

// summary names the release that serves in each environment.
func summary(lines []agent.LineMarks) string {
	parts := make([]string, 0, len(lines))
	for _, l := range lines {
		if l.Current > 0 {
			parts = append(parts, fmt.Sprintf("%s #%d", l.Environment, l.Current))
		}
	}
	return cut(strings.Join(parts, ", "), maxSummary)
}
