package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

const (
	// maxInbound bounds a PROXY header of version 2, in bytes. The protocol has 16 for
	// the length; a header with a client's certificate takes some 2 KiB.
	maxInbound = 4 << 10

	// maxLine bounds one of version 1, in bytes (section 2.1).
	maxLine = 107

	// maxServerName bounds PP2_TYPE_AUTHORITY, in bytes: the longest name of DNS.
	maxServerName = 255

	// The fixed beginning of version 2 (section 2.2): a signature, the command, the
	// family of the addresses, and the length of the rest.
	signatureLen = 12
	commandAt    = signatureLen
	familyAt     = signatureLen + 1
	lengthAt     = signatureLen + 2
	fixedLen     = signatureLen + 4
)

var (
	errNoHeader     = errors.New("it begins with no PROXY header")
	errLongHeader   = errors.New("the PROXY header is too long")
	errHeaderFamily = errors.New("the PROXY header is not about a TCP connection")
	errHeaderSource = errors.New("the source in the PROXY header is nobody's address")
	errHeaderName   = errors.New("the PROXY header has no plain server name")
)

// origin is what a balancer says of a connection that it passes on.
type origin struct {
	source, destination netip.AddrPort // both invalid: it is the balancer's own
	serverName          string         // "": none
}

// readOrigin reads a PROXY header and nothing behind it: r is asked for no byte that
// does not belong to it. The library would read further, and takes a line of version 1
// only if it comes in one piece.
func readOrigin(r io.Reader) (origin, error) {
	raw, err := readHeader(r)
	if err != nil {
		return origin{}, err
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(raw), len(raw)))
	if err != nil {
		return origin{}, err
	}
	if h.Command.IsLocal() {
		return origin{}, nil
	}
	return originOf(h)
}

// readHeader reads as many bytes as a header has. Either version has as many as the
// signature of version 2.
func readHeader(r io.Reader) ([]byte, error) {
	head := make([]byte, signatureLen, maxLine)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	switch {
	case bytes.Equal(head, proxyproto.SIGV2):
		return readBlock(r, head)
	case bytes.HasPrefix(head, proxyproto.SIGV1):
		return readLine(r, head)
	}
	return nil, errNoHeader
}

// readLine reads the rest of a header of version 1.
func readLine(r io.Reader, line []byte) ([]byte, error) {
	for line[len(line)-1] != '\n' {
		if len(line) == maxLine {
			return nil, errLongHeader
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return nil, noEOF(err)
		}
	}
	return line, nil
}

// readBlock reads the rest of a header of version 2. The length is checked before
// there is room for as much.
func readBlock(r io.Reader, signature []byte) ([]byte, error) {
	var fixed [fixedLen]byte
	copy(fixed[:], signature)
	if _, err := io.ReadFull(r, fixed[signatureLen:]); err != nil {
		return nil, noEOF(err)
	}
	size := fixedLen + int(binary.BigEndian.Uint16(fixed[lengthAt:]))
	if size > maxInbound {
		return nil, errLongHeader
	}
	block := make([]byte, size)
	copy(block, fixed[:])
	if _, err := io.ReadFull(r, block[fixedLen:]); err != nil {
		return nil, noEOF(err)
	}
	if block[familyAt] == byte(proxyproto.UNSPEC) && block[commandAt] == byte(proxyproto.PROXY) {
		block[commandAt] = byte(proxyproto.LOCAL) // no address is said, so it is the one that is seen; the library refuses that
	}
	return block, nil
}

// noEOF is err in the middle of a header.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// originOf is what h says. Of what it has beside the addresses the name of the server
// is all that counts: who the client is, it has to prove here.
func originOf(h *proxyproto.Header) (o origin, err error) {
	source, destination, ok := h.TCPAddrs()
	if !ok {
		return origin{}, errHeaderFamily
	}
	o.source, o.destination = addrPort(source), addrPort(destination)
	if a := o.source.Addr(); !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return origin{}, errHeaderSource
	}
	tlvs, err := h.TLVs()
	if err != nil {
		return origin{}, err
	}
	for _, tlv := range tlvs {
		if tlv.Type != proxyproto.PP2_TYPE_AUTHORITY {
			continue
		}
		if o.serverName != "" || !plainServerName(tlv.Value) {
			return origin{}, errHeaderName
		}
		o.serverName = string(tlv.Value)
	}
	return o, nil
}

// plainServerName reports whether name has what names of servers are made of on the
// wire: no Unicode, spaces or control characters.
func plainServerName(name []byte) bool {
	if len(name) == 0 || len(name) > maxServerName {
		return false
	}
	for _, b := range name {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}
