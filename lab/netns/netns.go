// Package netns reaches into another network namespace: it dials and listens
// there while the caller stays where it is. It needs CAP_SYS_ADMIN.
package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds a dial: every address is on this machine.
const dialTimeout = 5 * time.Second

// Namespace is a network namespace. The zero value is the caller's own.
type Namespace struct{ path string }

// Of returns the namespace that the process pid is in.
func Of(pid int) Namespace { return Namespace{fmt.Sprintf("/proc/%d/ns/net", pid)} }

// Do runs f on a thread that is inside the namespace. Goroutines that f starts
// are not inside; processes that f starts are.
func (n Namespace) Do(f func() error) error {
	if n.path == "" {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		result <- n.enter(f)
	}()
	return <-result
}

func (n Namespace) enter(f func() error) error {
	file, err := os.Open(n.path)
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the network namespace: %w", err)
	}
	return f()
}

// Dial connects from inside the namespace. The host must be an IP address:
// looking a name up would happen on other threads.
func (n Namespace) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: dialTimeout, FallbackDelay: -1}
	err = n.Do(func() error {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listener inside the namespace; Accept works from outside.
func (n Namespace) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	var config net.ListenConfig
	err = n.Do(func() error {
		l, err = config.Listen(ctx, network, address)
		return err
	})
	return l, err
}
