package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/spec"
)

// TestTheUserOfTheImage is about what can be said of a pod whose image has that
// user and that keeps a claim.
func TestTheUserOfTheImage(t *testing.T) {
	t.Parallel()
	yes, thousand, two := new(true), new(int64(1000)), new(int64(2000))
	tests := map[string]struct {
		user    string
		nonRoot *bool
		group   *int64
	}{
		"unknown, or root":            {"", nil, nil},
		"root by number":              {"0", nil, nil},
		"root and a group":            {"0:1000", nil, nil},
		"root with more zeros":        {"000", nil, nil},
		"a name":                      {"node", nil, nil},
		"a name and a group":          {"node:1000", nil, nil},
		"a number that none can have": {"4294967295", nil, nil},
		"a negative number":           {"-1", nil, nil},
		"a number":                    {"1000", yes, thousand},
		"a number and a group":        {"1000:2000", yes, two},
		"a number and root's group":   {"1000:0", yes, thousand},
		"a number and a group's name": {"1000:node", yes, thousand},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s service
			s.release.App.ImageUser = test.user
			s.Volumes = []spec.Volume{{Name: "data", Path: "/data", Claim: "data"}}
			got := s.securityContext()
			if diff := cmp.Diff(test.nonRoot, got.RunAsNonRoot); diff != "" {
				t.Errorf("runAsNonRoot (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.group, got.FSGroup); diff != "" {
				t.Errorf("fsGroup (-want +got):\n%s", diff)
			}
			s.Volumes = nil
			if got := s.securityContext(); got.FSGroup != nil {
				t.Errorf("without a claim: got fsGroup %d, want none", *got.FSGroup)
			}
		})
	}
}
