package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// transcript is what a program has written so far. Tests wait in it for what
// they expect.
type transcript struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed by the next write
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(b), nil
}

func (o *transcript) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.changed
}

func (o *transcript) String() string {
	text, _ := o.read()
	return text
}

// wait waits until enough, or until done. It returns what is there then, and
// whether it is enough.
func (o *transcript) wait(done <-chan struct{}, enough func(string) bool) (string, bool) {
	deadline := time.After(patience)
	for {
		text, changed := o.read()
		if enough(text) {
			return text, true
		}
		select {
		case <-changed:
		case <-done:
			text = o.String()
			return text, enough(text)
		case <-deadline:
			return text, false
		}
	}
}

// await waits until want stands in the transcript n times.
func (o *transcript) await(t *testing.T, want string, n int) string {
	t.Helper()
	return o.awaitWhile(t, nil, want, n)
}

func (o *transcript) awaitWhile(t *testing.T, done <-chan struct{}, want string, n int) string {
	t.Helper()
	text, ok := o.wait(done, func(text string) bool { return strings.Count(text, want) >= n })
	if !ok {
		t.Fatalf("%q does not stand %d times in:\n%s", want, n, text)
	}
	return text
}

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	out  *transcript // stdout and stderr
	done chan struct{}
}

// launch starts a program that writes to out. It is killed when the test ends.
func launch(t *testing.T, out *transcript, name string, args ...string) *process {
	t.Helper()
	return launchCommand(t, out, exec.Command(name, args...))
}

// launchCommand is launch with more than arguments.
func launchCommand(t *testing.T, out *transcript, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, out: out, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its state tells
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), out)
		}
	})
	return p
}

// await waits until the program has written want.
func (p *process) await(t *testing.T, want string) string {
	t.Helper()
	return p.out.awaitWhile(t, p.done, want, 1)
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the program's end and returns its exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	receive(t, "end of "+p.cmd.Path, p.done)
	return p.cmd.ProcessState.ExitCode()
}

// result is what became of a program.
type result struct {
	stdout, stderr string
	code           int
}

// execute runs a program to its end.
func execute(t *testing.T, stdin, name string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
