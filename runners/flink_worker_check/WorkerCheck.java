import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A Flink job that runs one command on each TaskManager, once, and fails where it fails.
 *
 * <p>Arguments: name of the job, number of slots, most seconds for the command, the number of words
 * of the command, these words, and then variables of its environment as NAME=VALUE. The texts of
 * the errors are those of Beam's runner when a worker's process cannot be started.
 *
 * <p>Only what Flink 1.15 to 2.x have in common is used. WorkerCheck.jar beside this file is made of
 * it by build.py; a test makes it anew and compares.
 */
public final class WorkerCheck {
  private static final int MOST_BYTES = 4096;
  private static boolean isDone = false;

  private WorkerCheck() {}

  public static void main(String[] arguments) throws Exception {
    int slots = Integer.parseInt(arguments[1]);
    int behind = 4 + Integer.parseInt(arguments[3]);
    Map<String, String> variables = new HashMap<>();
    for (String variable : Arrays.asList(arguments).subList(behind, arguments.length)) {
      int place = variable.indexOf('=');
      variables.put(variable.substring(0, place), variable.substring(place + 1));
    }
    List<String> command = new ArrayList<>(Arrays.asList(arguments).subList(4, behind));
    StreamExecutionEnvironment flink = StreamExecutionEnvironment.getExecutionEnvironment();
    // One number for each slot: all slots are taken at once, so that no TaskManager is left out.
    flink
        .fromSequence(1, slots)
        .setParallelism(1)
        .rebalance()
        .map(new Check(command, variables, Long.parseLong(arguments[2])))
        .setParallelism(slots);
    flink.execute(arguments[0]);
  }

  /** Slots of one TaskManager share this class, and the first of them does the work. */
  static synchronized void once(List<String> command, Map<String, String> variables, long seconds)
      throws Exception {
    if (isDone) {
      return;
    }
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().putAll(variables);
    Process process = builder.start();
    process.getOutputStream().close();
    Output output = new Output(process.getInputStream());
    output.setDaemon(true);
    output.start();
    boolean hasEnded;
    try {
      hasEnded = process.waitFor(seconds, TimeUnit.SECONDS);
    } finally {
      // Also where the job was cancelled meanwhile. Never after its end: that closes what it said.
      if (process.isAlive()) {
        process.destroyForcibly();
      }
    }
    output.join(1000);
    if (!hasEnded) {
      throw new IOException("Process did not end within " + seconds + " s: " + output.text());
    }
    if (process.exitValue() != 0) {
      throw new IOException(
          "Process died with exit code " + process.exitValue() + ": " + output.text());
    }
    isDone = true;
  }

  /** The step of the job. */
  static final class Check implements MapFunction<Long, Long>, Serializable {
    private static final long serialVersionUID = 1L;
    private final ArrayList<String> command;
    private final HashMap<String, String> variables;
    private final long seconds;

    Check(List<String> command, Map<String, String> variables, long seconds) {
      this.command = new ArrayList<>(command);
      this.variables = new HashMap<>(variables);
      this.seconds = seconds;
    }

    @Override
    public Long map(Long number) throws Exception {
      once(command, variables, seconds);
      return number;
    }
  }

  /** Reads what the command says, and keeps its beginning. */
  static final class Output extends Thread {
    private final InputStream stream;
    private final ByteArrayOutputStream kept = new ByteArrayOutputStream();

    Output(InputStream stream) {
      this.stream = stream;
    }

    @Override
    public void run() {
      byte[] buffer = new byte[MOST_BYTES];
      try {
        for (int count = stream.read(buffer); count >= 0; count = stream.read(buffer)) {
          synchronized (kept) {
            kept.write(buffer, 0, Math.min(count, MOST_BYTES - kept.size()));
          }
        }
      } catch (IOException error) {
        // The process was ended, and its output with it.
        return;
      }
    }

    String text() {
      synchronized (kept) {
        return kept.toString().trim();
      }
    }
  }
}
