//go:build !chaos

package main

import (
	"time"

	"k8s.io/client-go/rest"

	"github.com/inhaul/inhaul/agent"
)

// chaos is what a build for chaos tests does to the agent (chaos.go): in any
// other build, nothing.
type chaos struct{}

func newChaos() chaos { return chaos{} }

func (chaos) onto(config *rest.Config) *rest.Config { return config }

func (chaos) around(ports agent.Ports) agent.Ports { return ports }

func (chaos) now() time.Time { return time.Now() }
