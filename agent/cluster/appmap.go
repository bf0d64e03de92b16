package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// maxSummary is as long as the schema lets an App's summary be.
const maxSummary = 1024

// domainApp is the app that o declares.
func domainApp(o *v1alpha1.App) agent.App {
	app := agent.App{
		Name:    o.Name,
		Intents: o.Spec.Intents,
		Images:  slices.Clone(o.Spec.Images),
		History: o.Spec.History,
		Status:  domainAppStatus(o.Status),
	}
	for _, s := range o.Spec.Signers {
		app.Signers = append(app.Signers, agent.Signer(s))
	}
	for _, e := range o.Spec.Environments {
		app.Environments = append(app.Environments, agent.Environment(e))
	}
	for _, r := range o.Spec.Rules {
		rule := agent.Rule(r)
		rule.Environments, rule.Refs = slices.Clone(r.Environments), slices.Clone(r.Refs)
		rule.Workflows, rule.Events = slices.Clone(r.Workflows), slices.Clone(r.Events)
		app.Rules = append(app.Rules, rule)
	}
	return app
}

func domainAppStatus(o v1alpha1.AppStatus) agent.AppStatus {
	s := agent.AppStatus{Problem: o.Problem}
	for _, l := range o.Lines {
		s.Lines = append(s.Lines, agent.LineMarks{
			Environment: l.Environment, LastNumber: l.LastNumber, LastIssuedAt: plainTime(l.LastIssuedAt), LastRunID: l.LastRunID,
			Workflows: maps.Clone(l.Workflows), LastRollbackAt: plainTime(l.LastRollbackAt), LastRollbackBy: l.LastRollbackBy,
			Current: l.Current, ForgottenBefore: plainTime(l.ForgottenBefore),
		})
	}
	for _, r := range o.Refusals {
		s.Refusals = append(s.Refusals, agent.Refusal{
			Line:   agent.Line{App: r.App, Environment: r.Environment},
			Intent: r.Intent, Tag: r.Tag, IssuedAt: plainTime(r.IssuedAt),
			Superseded: r.Superseded, SupersededBy: r.SupersededBy, Rule: r.Rule, Message: r.Message, At: plainTime(r.At),
			Repository: r.Repository, Commit: r.Commit, RunID: r.RunID, Reported: r.Reported,
		})
	}
	return s
}

// appStatusResource is s within the bounds of the schema: the newest refusals
// stay.
func appStatusResource(s agent.AppStatus) v1alpha1.AppStatus {
	o := v1alpha1.AppStatus{Problem: cut(s.Problem, v1alpha1.MaxMessage), Summary: summary(s.Lines)}
	for _, l := range s.Lines {
		o.Lines = append(o.Lines, v1alpha1.LineMarks{
			Environment: l.Environment, LastNumber: l.LastNumber, LastIssuedAt: micro(l.LastIssuedAt), LastRunID: l.LastRunID,
			Workflows: l.Workflows, LastRollbackAt: micro(l.LastRollbackAt), LastRollbackBy: l.LastRollbackBy,
			Current: l.Current, ForgottenBefore: micro(l.ForgottenBefore),
		})
	}
	for _, r := range s.Refusals[max(0, len(s.Refusals)-v1alpha1.MaxRefusals):] {
		o.Refusals = append(o.Refusals, v1alpha1.Refusal{
			App: cut(r.Line.App, maxName), Environment: cut(r.Line.Environment, maxName),
			Intent: r.Intent, Tag: cut(r.Tag, maxTag), IssuedAt: micro(r.IssuedAt),
			Superseded: r.Superseded, SupersededBy: r.SupersededBy, Rule: cut(r.Rule, maxTag), Message: cut(r.Message, v1alpha1.MaxMessage),
			At: micro(r.At), Repository: cut(r.Repository, maxRepository), Commit: r.Commit, RunID: r.RunID, Reported: r.Reported,
		})
	}
	return o
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
