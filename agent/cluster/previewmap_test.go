package cluster

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

func TestPreviewStaysInItsSchema(t *testing.T) {
	t.Parallel()
	p := agent.Preview{Line: agent.Line{App: "shop", Environment: "pr-7"}, Message: strings.Repeat("x", 2*v1alpha1.MaxMessage)}
	for range 2 * v1alpha1.MaxRemains {
		p.Decided, p.Destroys, p.Remains = append(p.Decided, agent.Decided{}), append(p.Destroys, agent.Destroy{}), append(p.Remains, agent.Release{})
	}
	s := previewObject(p, "inhaul").Status
	if len(s.Decided) != v1alpha1.MaxDecided || len(s.Destroys) != v1alpha1.MaxDestroys || len(s.Remains) != v1alpha1.MaxRemains || len(s.Message) > v1alpha1.MaxMessage {
		t.Errorf("got %d decided, %d destroys, %d remains and a message of %d bytes", len(s.Decided), len(s.Destroys), len(s.Remains), len(s.Message))
	}
}
