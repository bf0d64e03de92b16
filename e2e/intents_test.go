package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/internal/oci"
)

// intents prints what was published to a repository, in the order of time, one
// intent a line: intents REPOSITORY
func intents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: intents REPOSITORY")
	}
	ts.Check(os.Setenv("DOCKER_CONFIG", ts.Getenv("DOCKER_CONFIG")))
	registry := oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(transport(ts)))
	repository := ts.Getenv("LAB_REGISTRY") + "/" + args[0]
	tags, err := registry.List(context.Background(), repository)
	ts.Check(err)
	var all []intent.Predicate
	for _, tag := range tags {
		if _, _, _, ok := oci.ParseTag(tag); !ok {
			continue // receipts are there too
		}
		data, err := registry.Fetch(context.Background(), repository, tag)
		ts.Check(err)
		envelope, err := intent.Decode(data)
		ts.Check(err)
		all = append(all, envelope.Claimed().Predicate)
	}
	slices.SortFunc(all, func(a, b intent.Predicate) int { return a.IssuedAt.Compare(b.IssuedAt) })
	for i, p := range all {
		_, err := fmt.Fprintf(ts.Stdout(), "%d: %s %s in %s, pull request %d, commit %s, head %s, ref %s, event %s\n",
			i+1, p.Kind, p.App, p.Environment, p.Source.PullRequest, p.Source.Commit, p.Source.HeadCommit, p.Source.Ref, p.Source.Event)
		ts.Check(err)
	}
}
